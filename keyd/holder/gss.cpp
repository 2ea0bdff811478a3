#include "keyd/holder/gss.h"

#include <fmt/format.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>

#include "common/base/log.h"
#include "keyd/holder/codec.h"

namespace esplanade::ike {
namespace {

constexpr OM_uint32 kRequired = GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG;

gss_OID krb5_mech() { return const_cast<gss_OID>(gss_mech_krb5); }

// A buffer that the library fills.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    OM_uint32 ignored = 0;
    if (b_.value != nullptr) wipe(MutableBytes(static_cast<Byte*>(b_.value), b_.length));
    gss_release_buffer(&ignored, &b_);
  }
  gss_buffer_t out() { return &b_; }
  ByteView octets() const { return {static_cast<const Byte*>(b_.value), b_.length}; }

 private:
  gss_buffer_desc b_ = GSS_C_EMPTY_BUFFER;
};

class Name {
 public:
  Name() = default;
  Name(const Name&) = delete;
  Name& operator=(const Name&) = delete;
  ~Name() {
    OM_uint32 ignored = 0;
    if (name_ != GSS_C_NO_NAME) gss_release_name(&ignored, &name_);
  }
  gss_name_t* out() { return &name_; }
  gss_name_t get() const { return name_; }

 private:
  gss_name_t name_ = GSS_C_NO_NAME;
};

gss_buffer_desc input(ByteView octets) {
  return {octets.size(), const_cast<Byte*>(octets.data())};  // the interface has no const; it only reads
}

std::string reason(OM_uint32 code, int type) {
  OM_uint32 minor = 0, more = 0;
  Buffer text;
  gss_display_status(&minor, code, type, krb5_mech(), &more, text.out());
  const ByteView octets = text.octets();
  return printable({reinterpret_cast<const char*>(octets.data()), octets.size()}, 200);
}

Error failure(const char* what, OM_uint32 major, OM_uint32 minor) {
  return Error{Errc::kBadAuth, fmt::format("{}: {}: {}", what, reason(major, GSS_C_GSS_CODE),
                                             reason(minor, GSS_C_MECH_CODE))};
}

Status import_principal(const std::string& text, Name& name) {
  OM_uint32 minor = 0;
  gss_buffer_desc in = input({reinterpret_cast<const Byte*>(text.data()), text.size()});
  const OM_uint32 major =
      gss_import_name(&minor, &in, const_cast<gss_OID>(GSS_KRB5_NT_PRINCIPAL_NAME), name.out());
  if (GSS_ERROR(major)) return failure("principal", major, minor);
  return ok();
}

// A cache in memory outlives its credential handle: it has to go by name.
void destroy_cache(const std::string& cache) {
  krb5_context context = nullptr;
  krb5_ccache handle = nullptr;
  if (krb5_init_context(&context) != 0) return;
  if (krb5_cc_resolve(context, cache.c_str(), &handle) == 0) krb5_cc_destroy(context, handle);
  krb5_free_context(context);
}

}  // namespace

struct GssContexts::Context {
  std::mutex busy;
  bool initiator = true;
  bool complete = false;
  std::string target;
  gss_ctx_id_t handle = GSS_C_NO_CONTEXT;
  gss_cred_id_t credential = GSS_C_NO_CREDENTIAL;
  std::string own_cache;

  ~Context() {
    OM_uint32 ignored = 0;
    gss_delete_sec_context(&ignored, &handle, GSS_C_NO_BUFFER);
    release_credential();
  }
  void release_credential() {
    OM_uint32 ignored = 0;
    gss_release_cred(&ignored, &credential);
    if (!own_cache.empty()) destroy_cache(std::exchange(own_cache, {}));
  }

  Status acquire(const KerberosSettings& settings, std::uint64_t cache_number) {
    std::vector<gss_key_value_element_desc> elements;
    const auto add = [&](const char* key, const std::string& value) {
      if (!value.empty()) elements.push_back({key, value.c_str()});
    };
    std::string cache = settings.ccache;
    if (initiator) {
      if (cache.empty()) cache = own_cache = fmt::format("MEMORY:keyd-{}", cache_number);
      if (!own_cache.empty()) add("client_keytab", settings.keytab);
      add("ccache", cache);
    } else {
      add("keytab", settings.keytab);
      // A replayed ticket gains nothing: the hash that follows is wrapped with the ticket's session key and
      // covers this negotiation's cookies and public values.
      add("rcache", "none:");
    }
    const gss_key_value_set_desc store{static_cast<OM_uint32>(elements.size()), elements.data()};
    gss_OID_set_desc mechs{1, krb5_mech()};
    Name own;
    if (!settings.principal.empty()) ESPLANADE_CHECK(import_principal(settings.principal, own));
    OM_uint32 minor = 0;
    const OM_uint32 major =
        gss_acquire_cred_from(&minor, own.get(), GSS_C_INDEFINITE, &mechs,
                              initiator ? GSS_C_INITIATE : GSS_C_ACCEPT, &store, &credential, nullptr, nullptr);
    if (GSS_ERROR(major)) return failure("Kerberos credential", major, minor);
    return ok();
  }

  Result<Credential> step(const GssStep& request) {
    Buffer token;
    gss_buffer_desc in = input(request.token);
    OM_uint32 minor = 0, flags = 0;
    gss_OID mech = GSS_C_NO_OID;
    OM_uint32 major = 0;
    if (initiator) {
      Name name;
      ESPLANADE_CHECK(import_principal(target, name));
      major = gss_init_sec_context(&minor, credential, &handle, name.get(), krb5_mech(),
                                   kRequired | GSS_C_CONF_FLAG, 0, GSS_C_NO_CHANNEL_BINDINGS,
                                   request.token.empty() ? GSS_C_NO_BUFFER : &in, &mech, token.out(), &flags,
                                   nullptr);
    } else {
      major = gss_accept_sec_context(&minor, &handle, credential, &in, GSS_C_NO_CHANNEL_BINDINGS, nullptr, &mech,
                                     token.out(), &flags, nullptr, nullptr);
    }
    if (GSS_ERROR(major)) return failure(initiator ? "gss_init_sec_context" : "gss_accept_sec_context", major, minor);
    Credential out;
    out.octets = Secret(token.octets());
    out.complete = (major & GSS_S_CONTINUE_NEEDED) == 0;
    if (!out.complete) return out;
    if ((flags & kRequired) != kRequired || !gss_oid_equal(mech, krb5_mech()))
      return Error{Errc::kUnsupported, "the context lacks mutual authentication, integrity or Kerberos V5"};
    complete = true;
    release_credential();
    ESPLANADE_TRY(peer, peer_name());
    out.peer = std::move(peer);
    return out;
  }

  Result<std::string> peer_name() const {
    Name source, destination;
    OM_uint32 minor = 0;
    OM_uint32 major = gss_inquire_context(&minor, handle, source.out(), destination.out(), nullptr, nullptr,
                                          nullptr, nullptr, nullptr);
    if (GSS_ERROR(major)) return failure("name of the peer", major, minor);
    Buffer text;
    major = gss_display_name(&minor, initiator ? destination.get() : source.get(), text.out(), nullptr);
    if (GSS_ERROR(major)) return failure("name of the peer", major, minor);
    const ByteView octets = text.octets();
    if (octets.empty() || octets.size() > kGssNameMax)
      return Error{Errc::kMalformed, "the name of the peer is empty or too long"};
    return std::string(octets.begin(), octets.end());
  }
};

GssContexts::GssContexts(KerberosSettings settings) : settings_(std::move(settings)) {}
GssContexts::~GssContexts() = default;

Result<std::shared_ptr<GssContexts::Context>> GssContexts::find_or_make(const GssStep& request) {
  std::shared_ptr<Context> context;
  std::uint64_t cache_number = 0;
  {
    const std::lock_guard lock(mutex_);
    if (auto it = contexts_.find(request.context); it != contexts_.end()) {
      if (it->second->initiator != request.initiator)
        return Error{Errc::kState, "the number of a context is in use the other way round"};
      return it->second;
    }
    if (contexts_.size() >= kContextsMax) return Error{Errc::kTableFull, "too many GSS contexts at once"};
    if (request.initiator ? request.target.empty() || !request.token.empty() : request.token.empty())
      return Error{Errc::kState, "this cannot be the first step of a GSS context"};
    context = std::make_shared<Context>();
    context->initiator = request.initiator;
    context->target = request.target;
    cache_number = next_cache_++;
    contexts_[request.context] = context;
  }
  const std::lock_guard lock(context->busy);
  if (auto acquired = context->acquire(settings_, cache_number); !acquired) {
    end(request.context);
    return acquired.error();
  }
  return context;
}

std::shared_ptr<GssContexts::Context> GssContexts::find(std::uint64_t number) const {
  const std::lock_guard lock(mutex_);
  const auto it = contexts_.find(number);
  return it == contexts_.end() ? nullptr : it->second;
}

Result<Credential> GssContexts::step(const GssStep& request) {
  ESPLANADE_TRY(context, find_or_make(request));
  const std::lock_guard lock(context->busy);
  if (context->complete) return Error{Errc::kState, "the GSS context is complete already"};
  auto done = context->step(request);
  if (!done) end(request.context);
  return done;
}

Result<Credential> GssContexts::wrap(const GssWrap& request) {
  const auto context = find(request.context);
  if (context == nullptr) return Error{Errc::kState, "no such GSS context"};
  const std::lock_guard lock(context->busy);
  if (!context->complete) return Error{Errc::kState, "the GSS context is not complete"};
  OM_uint32 minor = 0;
  int confidential = 0;
  gss_buffer_desc in = input(request.octets);
  Buffer out;
  const OM_uint32 major = gss_wrap(&minor, context->handle, 1, GSS_C_QOP_DEFAULT, &in, &confidential, out.out());
  if (GSS_ERROR(major)) return failure("gss_wrap", major, minor);
  if (confidential == 0) return Error{Errc::kUnsupported, "the GSS context does not encrypt"};
  return Credential{Secret(out.octets()), true, {}};
}

Result<Credential> GssContexts::unwrap(const GssUnwrap& request) {
  const auto context = find(request.context);
  if (context == nullptr) return Error{Errc::kState, "no such GSS context"};
  const std::lock_guard lock(context->busy);
  if (!context->complete) return Error{Errc::kState, "the GSS context is not complete"};
  OM_uint32 minor = 0;
  gss_buffer_desc in = input(request.octets);
  Buffer out;
  const OM_uint32 major = gss_unwrap(&minor, context->handle, &in, out.out(), nullptr, nullptr);
  if (GSS_ERROR(major)) return failure("gss_unwrap", major, minor);
  return Credential{Secret(out.octets()), true, {}};
}

void GssContexts::end(std::uint64_t context) {
  std::shared_ptr<Context> last;  // is destroyed after the lock is gone
  const std::lock_guard lock(mutex_);
  if (auto it = contexts_.find(context); it != contexts_.end()) {
    last = std::move(it->second);
    contexts_.erase(it);
  }
}

std::size_t GssContexts::size() const {
  const std::lock_guard lock(mutex_);
  return contexts_.size();
}

}  // namespace esplanade::ike
