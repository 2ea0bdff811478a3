// Cards for tests: reference engines with a card's SA table that can be made to fail, under a FailoverBackend.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "common/esp/ip.h"
#include "host/backend/failover_backend.h"
#include "tests/sa_params.h"

namespace esplanade::host {

using esplanade::testing::sa_params;

inline Bytes packet(std::size_t size = 100) {
  Bytes p(size);
  p[0] = 0x45;
  store_be16(&p[2], static_cast<std::uint16_t>(p.size()));
  store_be16(&p[10], esp::ipv4_checksum(ByteView(p).first(20)));
  return p;
}

/// What the test does to the cards: by name, how many more calls they survive, and whether they can be opened.
struct Fate {
  std::map<std::string, int> calls_left;
  std::set<std::string> broken;
  std::vector<std::string> opened;
  Errc how = Errc::kDeviceLost;
  std::size_t table_size = 512;
  std::set<std::string> swallow;  // packets go in and do not come out
};

class MortalBackend final : public Backend {
 public:
  MortalBackend(std::string name, Fate& fate) : name_(std::move(name)), fate_(fate), inner_(open_backend({"soft", false}).value()), entries_(fate.table_size) {}
  std::string name() const override { return name_; }
  Result<std::uint32_t> allocate_spi(std::uint32_t reqid) override {
    if (dies()) return death();
    for (int i = 0; i < 1000; ++i) {
      ESPLANADE_TRY(spi, inner_->allocate_spi(reqid));
      if (!entry(spi)) {
        entry(spi) = Entry{spi, std::nullopt};
        return spi;
      }
      inner_->release_spi(spi);
    }
    return Error{Errc::kTableFull, "no entry"};
  }
  Status reserve_spi(std::uint32_t spi) override {
    if (dies()) return death();
    if (entry(spi) && (entry(spi)->spi != spi || entry(spi)->sa)) return Error{Errc::kTableFull, "entry taken"};
    entry(spi) = Entry{spi, std::nullopt};
    return inner_->reserve_spi(spi);
  }
  void release_spi(std::uint32_t spi) override {
    inner_->release_spi(spi);
    if (entry(spi) && entry(spi)->spi == spi && !entry(spi)->sa) entry(spi).reset();
  }
  Result<SaHandle> install(esp::SaParams p) override {
    if (dies()) return death();
    const auto at = p.outbound ? std::ranges::find_if(entries_, [](const auto& e) { return !e; }) : entries_.begin() + p.spi % entries_.size();
    if (at == entries_.end() || (*at && ((*at)->spi != p.spi || (*at)->sa))) return Error{Errc::kTableFull, "entry taken"};
    const std::uint32_t spi = p.spi;
    ESPLANADE_TRY(handle, inner_->install(std::move(p)));
    *at = Entry{spi, handle};
    return handle;
  }
  Status remove(SaHandle sa) override {
    if (dies()) return death();
    for (auto& e : entries_) {
      if (e && e->sa == sa) e.reset();
    }
    return inner_->remove(sa);
  }
  Status move(SaHandle sa, const esp::IpAddress& src, const esp::IpAddress& dst, const std::optional<esp::Natt>& natt) override {
    return dies() ? Status(death()) : inner_->move(sa, src, dst, natt);
  }
  Result<SaView> view(SaHandle sa) override { return dies() ? Result<SaView>(death()) : inner_->view(sa); }
  Result<Totals> totals() override { return dies() ? Result<Totals>(death()) : inner_->totals(); }
  Status submit_encap(SaHandle sa, ByteView p, std::uint64_t cookie, std::optional<std::array<Byte, 8>> iv) override {
    return dies() ? Status(death()) : inner_->submit_encap(sa, p, cookie, iv);
  }
  Status submit_decap(ByteView p, std::uint64_t cookie) override { return dies() ? Status(death()) : inner_->submit_decap(p, cookie); }
  std::size_t in_flight() const override { return inner_->in_flight(); }
  Status poll(Outcomes& out, std::chrono::milliseconds wait) override {
    if (dies()) return death();
    return fate_.swallow.contains(name_) ? ok() : inner_->poll(out, wait);
  }
  Status poll_events(std::vector<SaEvent>& out) override { return dies() ? Status(death()) : inner_->poll_events(out); }

 private:
  struct Entry {
    std::uint32_t spi;
    std::optional<SaHandle> sa;
  };
  std::optional<Entry>& entry(std::uint32_t spi) { return entries_[spi % entries_.size()]; }  // as in the card: the SPI's low bits
  bool dies() {
    const auto left = fate_.calls_left.find(name_);
    if (left == fate_.calls_left.end()) return false;
    if (left->second > 0) --left->second;
    return left->second == 0;
  }
  Error death() const { return {fate_.how, name_ + " is dead"}; }
  const std::string name_;
  Fate& fate_;
  std::unique_ptr<Backend> inner_;
  std::vector<std::optional<Entry>> entries_;
};

struct Bench {
  Fate fate;
  std::unique_ptr<Backend> backend;

  explicit Bench(std::vector<std::string> cards = {"a", "b"}, std::size_t in_use = 1, std::size_t table_size = 512) {
    fate.table_size = table_size;
    backend = open_failover_backend(std::move(cards), in_use, [this](const std::string& name) -> Result<std::unique_ptr<Backend>> {
                if (fate.broken.contains(name)) return Error{Errc::kNoCard, name + " is broken"};
                fate.opened.push_back(name);
                return std::unique_ptr<Backend>(std::make_unique<MortalBackend>(name, fate));
              }).value();
  }
  void kill(const std::string& name, bool for_good = true) {
    fate.calls_left[name] = 1;
    if (for_good) fate.broken.insert(name);
  }
  std::vector<Outcome> poll() {
    Outcomes out;
    CHECK(backend->poll(out, std::chrono::milliseconds(0)));
    return {out.begin(), out.end()};
  }
};

}  // namespace esplanade::host
