// Plans of faults, which people and programs write: what is understood, what is refused and with which words, and when triggers fire.
#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "sim/model/injector.h"

using namespace esplanade;
using namespace esplanade::sim;

namespace {

std::string refusal(const std::string& plan) {
  const auto faults = parse_faults("plan", plan);
  if (faults) return "none";
  CHECK(faults.error().code == Errc::kBadConfig);
  return faults.error().detail;
}

Fault fault(FaultPoint point, const std::string& when, std::uint64_t count = 1) {
  Fault out;
  out.point = point;
  out.when = *parse_trigger(when);
  out.count = count;
  return out;
}

/// A kernel with one register, and completions from 0x1000 on.
KernelSense sense(const bool* error = nullptr) {
  KernelSense out;
  out.register_offset = [](const std::string& name) { return name == "GO" ? std::optional<std::uint32_t>(0x40) : std::nullopt; };
  out.is_completion = [](const RegisterShadow&, std::uint64_t address) { return address >= 0x1000; };
  if (error != nullptr) out.error = [error] { return *error; };
  return out;
}

Bytes completion_of(std::uint32_t sa) {
  Bytes out(64);
  store_le32(&out[4], sa);
  return out;
}

}  // namespace

TEST_CASE("sim/faults: triggers are read as documented") {
  using Kind = Trigger::Kind;
  const auto is = [](const std::string& text, Kind kind, std::uint64_t number, std::uint64_t nth, std::uint64_t delay) {
    CAPTURE(text);
    const auto trigger = parse_trigger(text);
    REQUIRE(trigger);
    CHECK(trigger->kind == kind);
    CHECK(trigger->number == number);
    CHECK(trigger->nth == nth);
    CHECK(trigger->delay == delay);
  };
  is("now", Kind::kNow, 0, 1, 0);
  is("now+7", Kind::kNow, 0, 1, 7);
  is("cycle=0", Kind::kCycle, 0, 1, 0);
  is("cycle=18446744073709551615", Kind::kCycle, std::numeric_limits<std::uint64_t>::max(), 1, 0);
  is("packet=3+0x10", Kind::kPacket, 3, 1, 16);
  is("sa=0*9", Kind::kSa, 0, 9, 0);
  is("register=0x40*2+1", Kind::kRegister, 0x40, 2, 1);
  is("error", Kind::kError, 0, 1, 0);
  CHECK(parse_trigger("register=SQ_TAIL")->register_name == "SQ_TAIL");
}

TEST_CASE("sim/faults: no other text is a trigger") {
  for (const char* text : {"", "+", "now+", "now+x", "later", "cycle", "cycle=", "cycle=-1", "cycle=1 ", "cycle=0x", "cycle=18446744073709551616", "cycle=1*2", "packet=0", "packet=1*2",
                           "sa=", "sa=1*0", "sa=1*", "sa=*1", "register=", "register=low", "register=*2", "register=0x40*", "error=1", "=1", "now+1+2"}) {
    CAPTURE(std::string(text));
    const auto trigger = parse_trigger(text);
    REQUIRE(!trigger);
    CHECK(trigger.error().code == Errc::kBadConfig);
  }
  const std::string lengthy(100'000, 'x');
  CHECK(parse_trigger(lengthy).error().detail.size() < 400);
}

TEST_CASE("sim/faults: a plan that is wrong is refused with its line and the reason") {
  CHECK(refusal("[[fault]]\npoint = 'reset'\n") == "none");
  CHECK(refusal("") == "none");
  CHECK(refusal("[[fault]\n").starts_with("plan:1: "));
  CHECK(refusal("x = 1\n") == "plan:1: only [[fault]] may stand here");
  CHECK(refusal("fault = [1]\n") == "plan:1: fault must be an array of tables");
  CHECK(refusal("[[fault]]\n") == "plan:1: [[fault]] needs a point; esp-card-sim --faults lists them");
  CHECK(refusal("[[fault]]\npoint = 1\n").starts_with("plan:1: [[fault]] needs a point"));
  CHECK(refusal("[[fault]]\npoint = 'waves'\n").starts_with("plan:1: [[fault]] needs a point"));
  CHECK(refusal("[[fault]]\npoint = 'dma-stall'\nwhen = 1\n").starts_with("plan:3: \"?\" is no trigger"));
  CHECK(refusal("[[fault]]\npoint = 'dma-stall'\naddress = 1\n") == "plan:3: dma-stall takes count cycles, not address");
  CHECK(refusal("[[fault]]\npoint = 'dma-stall'\ncycles = 1.5\n") == "plan:3: cycles must be a non-negative integer");
  CHECK(refusal("[[fault]]\npoint = 'dma-stall'\ncycle = 1\n") == "plan:3: dma-stall takes count cycles, not cycle");
}

TEST_CASE("sim/faults: triggers fire at their moment, once, and points hit as often as they say") {
  bool error = false;
  Injector injector(sense(&error));
  REQUIRE(injector.add(fault(FaultPoint::kDmaStall, "register=GO*2", 2)));
  REQUIRE(injector.add(fault(FaultPoint::kAxiReadError, "cycle=100", 0)));
  REQUIRE(injector.add(fault(FaultPoint::kCompletionLost, "packet=2")));
  REQUIRE(injector.add(fault(FaultPoint::kCompletionDuplicated, "sa=7*2")));
  REQUIRE(injector.add(fault(FaultPoint::kAxiWriteError, "error+10")));
  std::vector<FaultPoint> acted;
  injector.on(FaultPoint::kAxiWriteError, [&](const Fault& f) { acted.push_back(f.point); });

  injector.at_register(true, 0x40, 1);
  CHECK(!injector.take(FaultPoint::kDmaStall));
  injector.at_register(false, 0x44, 1);
  injector.at_register(false, 0x40, 1);  // reads count as well
  CHECK(injector.take(FaultPoint::kDmaStall));
  CHECK(injector.take(FaultPoint::kDmaStall));
  CHECK(!injector.take(FaultPoint::kDmaStall));
  injector.at_register(true, 0x40, 1);
  CHECK(!injector.take(FaultPoint::kDmaStall));

  injector.at_cycle(99);
  CHECK(!injector.take(FaultPoint::kAxiReadError));
  injector.at_cycle(101);  // looked late: a cycle that was skipped has been
  for (int i = 0; i < 100; ++i) CHECK(injector.take(FaultPoint::kAxiReadError));

  CHECK(!injector.at_write(0xfff, completion_of(7)));
  CHECK(injector.at_write(0x1000, completion_of(7)));
  CHECK(!injector.take(FaultPoint::kCompletionLost));
  CHECK(!injector.take(FaultPoint::kCompletionDuplicated));
  CHECK(injector.at_write(0x1040, completion_of(7)));
  CHECK(injector.take(FaultPoint::kCompletionLost));
  CHECK(injector.take(FaultPoint::kCompletionDuplicated));
  CHECK(injector.at_write(0x1080, Bytes(4)));  // too short to name an SA

  injector.at_cycle(200);
  error = true;
  injector.at_cycle(201);
  injector.at_cycle(210);
  CHECK(acted.empty());
  injector.at_cycle(211);
  CHECK(acted == std::vector{FaultPoint::kAxiWriteError});
}

TEST_CASE("sim/faults: a kernel that cannot tell is not armed") {
  Injector blind{KernelSense{}};
  const auto why = [&](FaultPoint point, const std::string& when) {
    const Status armed = blind.add(fault(point, when));
    REQUIRE(!armed);
    CHECK(armed.error().code == Errc::kUnsupported);
    return armed.error().detail;
  };
  CHECK(why(FaultPoint::kReset, "register=GO") == "fault reset: the kernel has no register GO");
  CHECK(why(FaultPoint::kReset, "packet=1").find("does not tell completions") != std::string::npos);
  CHECK(why(FaultPoint::kCompletionLost, "now").find("does not tell completions") != std::string::npos);
  CHECK(why(FaultPoint::kReset, "error").find("does not tell of errors") != std::string::npos);
  CHECK(blind.add(fault(FaultPoint::kReset, "register=0x40")));
  CHECK(arm_plan(nullptr, "", 0) == "this card was opened without ESPLANADE_SIM_CONTROL");
  CHECK(arm_plan(&blind, "[[fault]]\npoint = 'reset'\n[[fault]]\npoint = 'removal'\n", 5) == "armed 2 at cycle 5");
  CHECK(arm_plan(&blind, "?", 5).starts_with("plan:1: "));
}
