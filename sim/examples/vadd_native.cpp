// Adds two arrays on a card with XRT's native C++ API: vadd_native XCLBIN [WORDS [RUNS [DEVICES [KERNEL]]]].
// Every device gets the same work, twice at once, which XRT spreads over the compute units. KERNEL may name a
// compute unit: vadd:{vadd_2}. Exit status 0: every sum is right.
#include <xrt/xrt_bo.h>
#include <xrt/xrt_device.h>
#include <xrt/xrt_kernel.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

class Adder {
 public:
  Adder(unsigned device, const std::string& xclbin, const std::string& kernel, std::size_t words)
      : device_(device),
        kernel_(device_, device_.load_xclbin(xclbin), kernel),
        words_(words),
        a_(device_, words * 4, kernel_.group_id(0)),
        b_(device_, words * 4, kernel_.group_id(1)),
        c_{xrt::bo(device_, words * 4, kernel_.group_id(2)),
           xrt::bo(device_, words * 4, kernel_.group_id(2))} {}

  /// Words whose sum is wrong.
  std::size_t add(std::uint32_t salt) {
    auto* a = a_.map<std::uint32_t*>();
    auto* b = b_.map<std::uint32_t*>();
    for (std::uint32_t i = 0; i < words_; ++i) {
      a[i] = (i + salt) * 2654435761U;
      b[i] = ~i * 40503U;
    }
    a_.sync(XCL_BO_SYNC_BO_TO_DEVICE);
    b_.sync(XCL_BO_SYNC_BO_TO_DEVICE);
    std::vector<xrt::run> runs;
    for (xrt::bo& c : c_) {
      std::fill_n(c.map<std::uint32_t*>(), words_, 0);
      c.sync(XCL_BO_SYNC_BO_TO_DEVICE);
      runs.push_back(kernel_(a_, b_, c, static_cast<std::uint32_t>(words_)));
    }
    std::size_t wrong = 0;
    for (std::size_t n = 0; n < runs.size(); ++n) {
      if (runs[n].wait() != ERT_CMD_STATE_COMPLETED) throw std::runtime_error("the run did not complete");
      c_[n].sync(XCL_BO_SYNC_BO_FROM_DEVICE);
      const auto* c = c_[n].map<std::uint32_t*>();
      for (std::size_t i = 0; i < words_; ++i) wrong += c[i] != a[i] + b[i];
    }
    return wrong;
  }

 private:
  xrt::device device_;
  xrt::kernel kernel_;
  std::size_t words_;
  xrt::bo a_, b_;
  std::vector<xrt::bo> c_;
};

unsigned long number(int argc, char** argv, int at, unsigned long otherwise) {
  return argc > at ? std::stoul(argv[at]) : otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "Usage: vadd_native XCLBIN [WORDS [RUNS [DEVICES [KERNEL]]]]\n";
    return 2;
  }
  try {
    const std::size_t words = number(argc, argv, 2, 1000);
    const auto runs = static_cast<std::uint32_t>(number(argc, argv, 3, 1));
    const std::string kernel = argc > 5 ? argv[5] : "vadd";
    std::vector<Adder> adders;
    for (unsigned device = 0; device < number(argc, argv, 4, 1); ++device)
      adders.emplace_back(device, argv[1], kernel, words);
    std::cout << "ready" << std::endl;
    std::size_t wrong = 0;
    for (std::uint32_t run = 0; run < runs && wrong == 0; ++run) {
      for (Adder& adder : adders) wrong += adder.add(run);
    }
    std::cout << "vadd: " << words << " words, " << runs << " runs, " << adders.size() << " devices, "
              << wrong << " wrong" << std::endl;
    return wrong == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "vadd: " << error.what() << "\n";
    return 1;
  }
}
