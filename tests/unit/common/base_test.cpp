#include <doctest/doctest.h>

#include "common/base/bytes.h"
#include "common/base/log.h"
#include "common/base/secret.h"

using namespace esplanade;

TEST_CASE("bytes: hex goes both ways, and wrong digits are named by place") {
  const Bytes octets{0x00, 0x7f, 0xff, 0x10};
  CHECK(to_hex(octets) == "007fff10");
  CHECK(*from_hex("007FFf10") == octets);
  CHECK(from_hex("").value().empty());
  CHECK(from_hex("abc").error().code == Errc::kMalformed);
  CHECK(from_hex("00g0").error().at == 2);
  CHECK(from_hex("000g").error().at == 3);
}

TEST_CASE("bytes: a reader never passes the end and stays where it was after a failure") {
  const Bytes octets{1, 2, 3, 4, 5};
  Reader reader(octets);
  CHECK(*reader.u16("x") == 0x0102);
  CHECK(reader.u32("y").error().code == Errc::kTruncated);
  CHECK(reader.offset() == 2);
  CHECK(reader.take(3, "z")->size() == 3);
  CHECK_FALSE(reader.u8("end"));
}

TEST_CASE("[R53] secret: moving leaves nothing behind, and comparison looks at every octet") {
  const Bytes octets{1, 2, 3};
  Secret a{ByteView(octets)};
  Secret b = std::move(a);
  CHECK(a.empty());
  CHECK(constant_time_equal(b.reveal(), octets));
  CHECK_FALSE(constant_time_equal(b.reveal(), Bytes{1, 2, 4}));
  CHECK_FALSE(constant_time_equal(b.reveal(), Bytes{1, 2}));
  Bytes wiped = octets;
  wipe(wiped);
  CHECK(wiped == Bytes(3, 0));
}

TEST_CASE("log: text from a peer stays on one line and in ASCII") {
  CHECK(printable("a\nb\x1b[31m\xc3") == "a\\x0ab\\x1b[31m\\xc3");
  CHECK(printable("\\n") == "\\x5cn");
  CHECK(printable(std::string(200, 'x')).size() == 123);
}
