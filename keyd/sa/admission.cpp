#include "keyd/sa/admission.h"

#include <algorithm>

#include "common/crypto/hash.h"

namespace esplanade::ike {
namespace {
constexpr std::size_t kSecretLen = 20;
}

void Admission::rotate(Time now) {
  if (!current_.empty() && now - since_ < kSecretLife) return;
  Bytes fresh(kSecretLen);
  rng_.fill(fresh);
  const bool recent = !current_.empty() && now - since_ < 2 * kSecretLife;
  previous_ = recent ? std::move(current_) : Secret();
  current_ = Secret(std::move(fresh));
  since_ = now;
}

Cookie Admission::hash(const Secret& secret, const Path& path, const Cookie& cky_i) const {
  Bytes ends;
  for (const Endpoint* e : {&path.local, &path.remote}) {
    ends.push_back(e->address.version);
    put(ends, e->address.bytes());
    put_be16(ends, e->port);
  }
  const Secret digest = crypto::prf(crypto::Hash::kSha1, secret.reveal(), {ends, cky_i});
  Cookie cookie{};
  std::ranges::copy(digest.reveal().first(cookie.size()), cookie.begin());
  if (cookie == kNoCookie) cookie.back() = 1;
  return cookie;
}

Cookie Admission::cookie(const Path& path, const Cookie& cky_i, Time now) {
  rotate(now);
  return hash(current_, path, cky_i);
}

bool Admission::proves(const Path& path, const Cookie& cky_i, const Cookie& cky_r, Time now) {
  rotate(now);
  const bool with_current = constant_time_equal(hash(current_, path, cky_i), cky_r);
  return with_current || (!previous_.empty() && constant_time_equal(hash(previous_, path, cky_i), cky_r));
}

void Admission::wait(const CookiePair& cookies, Waiting waiting) {
  if (waiting_.insert_or_assign(cookies, std::move(waiting)).second) order_.push_back(cookies);
  while (order_.size() > waiting_max_) {
    waiting_.erase(order_.front());
    order_.pop_front();
  }
}

const Admission::Waiting* Admission::find(const CookiePair& cookies) const {
  auto it = waiting_.find(cookies);
  return it == waiting_.end() ? nullptr : &it->second;
}

std::optional<Admission::Waiting> Admission::admit(const CookiePair& cookies) {
  auto node = waiting_.extract(cookies);
  if (node.empty()) return std::nullopt;
  return std::move(node.mapped());
}

}  // namespace esplanade::ike
