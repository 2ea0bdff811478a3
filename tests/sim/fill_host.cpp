// Lets fill_kernel write into the host's own memory: fill_host XCLBIN [RUNS]. Plain XRT. Exit status 0: every
// beat is right.
#include <xrt/xrt_bo.h>
#include <xrt/xrt_device.h>
#include <xrt/xrt_kernel.h>

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <string>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  try {
    xrt::device device(0);
    xrt::kernel kernel(device, device.load_xclbin(argv[1]), "fill_kernel");
    constexpr std::size_t kBytes = 4096, kBeats = kBytes / 8;
    xrt::bo buffer(device, kBytes, xrt::bo::flags::host_only, kernel.group_id(0));
    auto* data = buffer.map<std::uint64_t*>();
    std::size_t wrong = 0;
    const std::uint32_t runs = argc > 2 ? static_cast<std::uint32_t>(std::stoul(argv[2])) : 1;
    for (std::uint32_t run = 0; run < runs; ++run) {
      const std::uint32_t count = run % 32 + 1;
      std::fill_n(data, kBeats, ~std::uint64_t{0});
      if (kernel(buffer, run * 7919, count).wait() != ERT_CMD_STATE_COMPLETED) return 1;
      for (std::uint64_t i = 0; i < kBeats; ++i) {
        wrong += data[i] != (i < count ? (i << 32) + run * 7919 + i : ~std::uint64_t{0});
      }
    }
    std::cout << "fill: " << runs << " runs, " << wrong << " wrong" << std::endl;
    return wrong == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "fill: " << error.what() << "\n";
    return 1;
  }
}
