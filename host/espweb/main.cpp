// espweb: a status page and Prometheus metrics of espd, on loopback, read-only. A process of its own, so that espd never parses HTTP; it
// needs nothing but espd's status socket.
#include <fmt/format.h>
#include <httplib.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <mutex>

#include "common/base/log.h"
#include "host/espctl/client.h"
#include "host/espweb/metrics.h"
#include "pages.h"

namespace {

using namespace esplanade;
using espctl::Json;

constexpr std::chrono::milliseconds kFresh{500};  // espd is asked once in this time, however many clients ask us
constexpr std::size_t kThreads = 16;

/// What espd last said.
class Answers {
 public:
  explicit Answers(std::string socket) : socket_(std::move(socket)) {}

  /// status, stats, card, health, events, sas (the first page). kIo...: espd does not answer.
  Result<Json> get() {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (all_ && now - taken_ < kFresh) return *all_;
    all_.reset();
    Json all = Json::object();
    for (const char* command : {"status", "stats", "card", "health"}) {
      ESPLANADE_TRY(answer, espctl::ask(socket_, {{"command", command}}));
      all[command] = std::move(answer);
    }
    ESPLANADE_TRY(events, espctl::ask(socket_, {{"command", "events"}}));
    all["events"] = events.value("events", Json::array());
    ESPLANADE_TRY(sas, espctl::ask(socket_, {{"command", "sa"}}));
    all["sas"] = sas.value("sas", Json::array());
    taken_ = now;
    all_ = std::move(all);
    return *all_;
  }

 private:
  const std::string socket_;
  std::mutex mutex_;
  std::optional<Json> all_;
  std::chrono::steady_clock::time_point taken_;
};

bool is_loopback(const std::string& host) { return host == "localhost" || host == "127.0.0.1" || host == "[::1]" || host == "::1"; }

/// The page of another site must not read us through its visitor's browser (DNS rebinding): only names of this machine are answered.
bool asked_by_name_of_this_machine(const httplib::Request& request) {
  std::string host = request.get_header_value("Host");
  if (const std::size_t colon = host.rfind(':'); colon != std::string::npos && host.find(']', colon) == std::string::npos) host.resize(colon);
  return is_loopback(host);
}

httplib::Server* g_server = nullptr;
extern "C" void on_stop(int) {
  if (g_server != nullptr) g_server->stop();
}

int serve(const std::string& address, int port, const std::string& socket) {
  Answers answers(socket);
  httplib::Server server;
  // Who connects and says nothing holds one of the threads for a second.
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_payload_max_length(1024);
  server.set_keep_alive_timeout(1);
  server.set_read_timeout(1);
  server.set_write_timeout(5);
  server.set_keep_alive_max_count(20);
  server.set_default_headers({{"Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'"}, {"X-Content-Type-Options", "nosniff"}, {"Cache-Control", "no-store"}});
  server.set_pre_routing_handler([](const httplib::Request& request, httplib::Response& response) {
    if (asked_by_name_of_this_machine(request)) return httplib::Server::HandlerResponse::Unhandled;
    response.status = 403;
    response.set_content("this page is for this machine alone\n", "text/plain");
    return httplib::Server::HandlerResponse::Handled;
  });
  const auto file = [&server](const char* path, const char* content, const char* type) {
    server.Get(path, [content, type](const httplib::Request&, httplib::Response& response) { response.set_content(content, type); });
  };
  file("/", espweb::kHtml, "text/html; charset=utf-8");
  file("/page.css", espweb::kCss, "text/css; charset=utf-8");
  file("/page.js", espweb::kScript, "text/javascript; charset=utf-8");
  server.Get("/api/all", [&](const httplib::Request&, httplib::Response& response) {
    const auto all = answers.get();
    if (!all) response.status = 503;
    const Json body = all ? *all : Json{{"error", all.error().detail}};
    response.set_content(body.dump(-1, ' ', true, Json::error_handler_t::replace), "application/json");
  });
  server.Get("/metrics", [&](const httplib::Request&, httplib::Response& response) {
    const auto all = answers.get();
    response.set_content(all ? espweb::metrics(all->at("status"), all->at("stats"), all->at("card"), all->at("health")) : espweb::metrics_down(),
                         "text/plain; version=0.0.4; charset=utf-8");
  });
  if (!server.bind_to_port(address, port)) {
    log_error("cannot listen on {} port {}: in use, or not allowed", address, port);
    return 1;
  }
  g_server = &server;
  for (const int signal : {SIGTERM, SIGINT}) ::signal(signal, on_stop);
  log_info("http://{}:{}/", address.find(':') == std::string::npos ? address : "[" + address + "]", port);
  server.listen_after_bind();
  g_server = nullptr;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"espweb serves a status page and Prometheus metrics of espd on loopback."};
  std::string socket = "/run/esplanade/espd.sock", address = "127.0.0.1";
  int port = 9464;
  app.add_option("--socket", socket, "status socket of espd")->capture_default_str();
  app.add_option("--address", address, "127.0.0.1 or ::1")->check([](const std::string& a) { return is_loopback(a) ? std::string() : "not an address of loopback"; })->capture_default_str();
  app.add_option("--port", port, "TCP port")->check(CLI::Range(1, 65535))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  esplanade::log_setup("espweb", esplanade::LogLevel::kInfo);
  return serve(address, port, socket);
}
