// Every parser of keyd/wire. What a parser accepts is built again, and must parse to the same.
#include "keyd/wire/attribute.h"
#include "keyd/wire/payload_fragment.h"
#include "keyd/wire/payload_id.h"
#include "keyd/wire/payload_notify.h"
#include "keyd/wire/payload_sa.h"
#include "keyd/wire/vendor_id.h"
#include "tests/fuzz/fuzz.h"

using namespace esplanade;
using namespace esplanade::ike;
using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  fuzz::Input in(ByteView(data, size));
  const std::uint8_t which = in.u8();
  const std::uint8_t extra = in.u8();
  const ByteView body = in.rest();
  switch (which % 8) {
    case 0: {
      auto h = parse_header(body);
      if (!h) break;
      Bytes again;
      put_header(again, *h);
      require(std::equal(again.begin(), again.end(), body.begin()), "a header is written as it was read");
      (void)split_payloads(h->next, body.subspan(kHeaderLen), false);
      if (h->next == PayloadType::kFragment) (void)parse_fragment(body.subspan(kHeaderLen));
      break;
    }
    case 1: {
      auto payloads = split_payloads(static_cast<PayloadType>(extra & 0x7f), body, (extra & 0x80) != 0);
      if (!payloads) break;
      ChainBuilder chain;
      for (const RawPayload& p : *payloads) chain.add(p.type, p.body);
      require(chain.octets().size() <= body.size(), "a chain does not grow");
      require(std::equal(chain.octets().begin(), chain.octets().end(), body.begin()), "a chain is built as it was");
      break;
    }
    case 2: {
      auto proposals = parse_sa(body);
      if (!proposals) break;
      auto again = parse_sa(build_sa(*proposals));
      require(static_cast<bool>(again), "an SA payload that was built parses");
      require(build_sa(*again) == build_sa(*proposals), "an SA payload is built the same twice");
      break;
    }
    case 3: {
      auto attributes = parse_attributes(body);
      if (!attributes) break;
      for (const Attribute& a : *attributes) {
        (void)basic_value(a);
        (void)variable_value(a);
      }
      break;
    }
    case 4: {
      auto id = parse_id(body);
      if (!id) break;
      require(build_id(*id).size() == body.size(), "an identity keeps its length");
      (void)to_string(*id);
      if (auto selector = selector_from_id(*id)) (void)to_string(*selector);
      break;
    }
    case 5: {
      auto n = parse_notify(body);
      if (!n) break;
      auto again = parse_notify(build_notify(*n));
      require(again && again->spi == n->spi && again->data == n->data, "a notify is built as it was");
      break;
    }
    case 6: {
      auto d = parse_delete(body);
      if (!d) break;
      auto again = parse_delete(build_delete(*d));
      require(d->spis.empty() || (again && again->spis == d->spis), "a delete is built as it was");
      break;
    }
    default: {
      (void)vendor_of(body);
      auto f = parse_fragment(body);
      if (f) require(!f->data.empty() && f->number != 0, "a fragment has data and a number");
      break;
    }
  }
  return 0;
}
