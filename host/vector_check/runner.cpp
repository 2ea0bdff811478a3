#include "host/vector_check/runner.h"

#include <fmt/format.h>

#include <algorithm>

namespace esplanade::host {

namespace {
constexpr std::chrono::milliseconds kPatience{60'000};  // a simulated card may take its time

std::string difference(ByteView got, ByteView wanted) {
  const auto at = std::ranges::mismatch(got, wanted).in1 - got.begin();
  return fmt::format("octet {} differs: {} of {} octets, expected {}", at, got.size(), to_hex(got.subspan(static_cast<std::size_t>(at)).first(std::min<std::size_t>(8, got.size() - static_cast<std::size_t>(at)))),
                     wanted.size());
}
}  // namespace

void Runner::compare(const Pending& pending, const Outcome& outcome) {
  if (outcome.status != pending.expected.status) {
    report_.fail(pending.id, fmt::format("status {}, expected {}", name_of(outcome.status), name_of(pending.expected.status)));
  } else if (outcome.status != card::Status::kOk && !outcome.packet.empty()) {
    report_.fail(pending.id, "a refused packet gave octets");
  } else if (pending.expected.packet && !std::ranges::equal(outcome.packet, *pending.expected.packet)) {
    report_.fail(pending.id, difference(outcome.packet, *pending.expected.packet));
  } else {
    report_.pass();
  }
}

Status Runner::drain(Outcomes& out) {
  auto end = std::chrono::steady_clock::now() + kPatience;
  while (backend_.in_flight() > 0) {
    const std::size_t before = out.size();
    ESPLANADE_CHECK(backend_.poll(out, std::chrono::milliseconds(1000)));
    if (out.size() != before) end = std::chrono::steady_clock::now() + kPatience;
    if (std::chrono::steady_clock::now() > end) {
      return Error{Errc::kTimeout, fmt::format("{}: {} packets do not come back: nothing for 60 s", backend_.name(), backend_.in_flight())};
    }
  }
  return ok();
}

Status Runner::finish() {
  Outcomes done;
  ESPLANADE_CHECK(drain(done));
  for (const Outcome& outcome : done) {
    const auto found = pending_.find(outcome.cookie);
    if (found == pending_.end()) return Error{Errc::kMalformed, fmt::format("{}: completion with an unknown cookie", backend_.name())};
    compare(found->second, outcome);
    ESPLANADE_CHECK(backend_.remove(found->second.sa));
    pending_.erase(found);
  }
  if (!pending_.empty()) return Error{Errc::kTimeout, fmt::format("{}: {} packets without a completion", backend_.name(), pending_.size())};
  return ok();
}

// No handle: the backend lacks something, and the skip is reported.
Result<std::optional<SaHandle>> Runner::install(esp::SaParams sa) {
  auto handle = backend_.install(std::move(sa));
  if (handle) return std::optional(*handle);
  if (handle.error().code == Errc::kUnsupported) {
    report_.skip("not supported by this backend yet: " + handle.error().detail);
    return std::optional<SaHandle>();
  }
  return handle.error();
}

Status Runner::submit(const std::string& id, esp::SaParams sa, ByteView packet, std::optional<std::array<Byte, 8>> iv, Expected expected) {
  if (pending_.size() >= kMaxPending) ESPLANADE_CHECK(finish());
  const bool outbound = sa.outbound;
  // Two cases may want the same entry of the card's table: the second waits for the first.
  esp::SaParams again;
  again.enc_key = sa.enc_key.clone();
  again.auth_key = sa.auth_key.clone();
  auto handle = install(std::move(sa));
  if (!handle && handle.error().code == Errc::kTableFull && !pending_.empty()) {
    ESPLANADE_CHECK(finish());
    sa.enc_key = std::move(again.enc_key);
    sa.auth_key = std::move(again.auth_key);
    handle = install(std::move(sa));
  }
  if (!handle) {
    if (handle.error().code == Errc::kDeviceLost) return handle.error();
    report_.fail(id, "SA not installed: " + handle.error().detail);
    return ok();
  }
  if (!*handle) return ok();
  const std::uint64_t cookie = next_cookie_++;
  pending_.emplace(cookie, Pending{id, **handle, std::move(expected)});
  const Status given = outbound ? backend_.submit_encap(**handle, packet, cookie, iv) : backend_.submit_decap(packet, cookie);
  if (given || given.error().code == Errc::kDeviceLost) return given;
  report_.fail(id, "packet not taken: " + given.error().detail);
  pending_.erase(cookie);
  return backend_.remove(**handle);
}

Status Runner::encap(const std::string& id, esp::SaParams sa, ByteView packet, std::optional<std::array<Byte, 8>> iv, Expected expected) {
  return submit(id, std::move(sa), packet, iv, std::move(expected));
}
Status Runner::decap(const std::string& id, esp::SaParams sa, ByteView packet, Expected expected) {
  return submit(id, std::move(sa), packet, std::nullopt, std::move(expected));
}

Result<std::optional<Runner::Sequence>> Runner::decap_sequence(esp::SaParams sa, const std::vector<Bytes>& packets) {
  ESPLANADE_CHECK(finish());
  ESPLANADE_TRY(handle, install(std::move(sa)));
  if (!handle) return std::optional<Sequence>();
  Sequence out{};
  for (const Bytes& packet : packets) {
    ESPLANADE_CHECK(backend_.submit_decap(packet, next_cookie_));
    ++next_cookie_;
    ESPLANADE_CHECK(drain(out.outcomes));
  }
  ESPLANADE_TRY(view, backend_.view(*handle));
  out.view = view;
  ESPLANADE_CHECK(backend_.remove(*handle));
  if (out.outcomes.size() != packets.size()) return Error{Errc::kTimeout, "not every packet was completed"};
  return std::optional(std::move(out));
}

Result<std::optional<Outcome>> Runner::once(esp::SaParams sa, ByteView packet, std::optional<std::array<Byte, 8>> iv) {
  ESPLANADE_CHECK(finish());
  const bool outbound = sa.outbound;
  ESPLANADE_TRY(handle, install(std::move(sa)));
  if (!handle) return std::optional<Outcome>();
  ESPLANADE_CHECK(outbound ? backend_.submit_encap(*handle, packet, next_cookie_, iv) : backend_.submit_decap(packet, next_cookie_));
  ++next_cookie_;
  Outcomes done;
  ESPLANADE_CHECK(drain(done));
  ESPLANADE_CHECK(backend_.remove(*handle));
  if (done.size() != 1) return Error{Errc::kTimeout, "the packet was not completed"};
  return std::optional(std::move(done[0]));
}

}  // namespace esplanade::host
