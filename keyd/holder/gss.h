// GSS-API with MIT Kerberos V5 (RFC 2743, RFC 4121) for the authentication method of
// draft-ietf-ipsec-isakmp-gss-auth. Calls may wait for a KDC and may come from several threads; calls for one
// context wait for each other.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "keyd/holder/secrets_file.h"
#include "keyd/sa/credentials.h"

namespace esplanade::ike {

class GssContexts {
 public:
  /// Contexts that live at once: each is a negotiation in the making.
  static constexpr std::size_t kContextsMax = 1024;

  explicit GssContexts(KerberosSettings settings);
  ~GssContexts();

  /// The next call of gss_init_sec_context or gss_accept_sec_context, Kerberos V5 only, with mutual
  /// authentication and integrity required and confidentiality asked for. The first step makes the context; a
  /// failure ends it. Errors: kState (number in use the other way round, complete already), kTableFull,
  /// kUnsupported (a context without the services required), kBadAuth (what the library says).
  Result<Credential> step(const GssStep& request);
  /// gss_wrap with confidentiality. Errors: kState (no such context, or not complete), kBadAuth.
  Result<Credential> wrap(const GssWrap& request);
  /// gss_unwrap. Errors as wrap().
  Result<Credential> unwrap(const GssUnwrap& request);
  void end(std::uint64_t context);
  std::size_t size() const;

 private:
  struct Context;
  Result<std::shared_ptr<Context>> find_or_make(const GssStep& request);
  std::shared_ptr<Context> find(std::uint64_t number) const;

  const KerberosSettings settings_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Context>> contexts_;
  std::uint64_t next_cache_ = 0;
};

}  // namespace esplanade::ike
