// Adds two arrays on a card with XRT's C API: vadd_c XCLBIN [WORDS]. Exit status 0: every sum is right.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <xrt/xrt_bo.h>
#include <xrt/xrt_device.h>
#include <xrt/xrt_kernel.h>

static int fail(const char* what) {
  fprintf(stderr, "vadd: %s failed\n", what);
  return 1;
}

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "Usage: vadd_c XCLBIN [WORDS]\n");
    return 2;
  }
  const uint32_t words = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 1000;
  const size_t size = words * sizeof(uint32_t);
  xrtDeviceHandle device = xrtDeviceOpen(0);
  if (device == XRT_NULL_HANDLE) return fail("xrtDeviceOpen");
  if (xrtDeviceLoadXclbinFile(device, argv[1]) != 0) return fail("xrtDeviceLoadXclbinFile");
  xuid_t uuid;
  if (xrtDeviceGetXclbinUUID(device, uuid) != 0) return fail("xrtDeviceGetXclbinUUID");
  xrtKernelHandle kernel = xrtPLKernelOpen(device, uuid, "vadd");
  if (kernel == XRT_NULL_HANDLE) return fail("xrtPLKernelOpen");

  xrtBufferHandle buffer[3];
  uint32_t* data[3];
  for (int i = 0; i < 3; ++i) {
    buffer[i] = xrtBOAlloc(device, size, XRT_BO_FLAGS_NONE, (xrtMemoryGroup)xrtKernelArgGroupId(kernel, i));
    if (buffer[i] == XRT_NULL_HANDLE) return fail("xrtBOAlloc");
    data[i] = xrtBOMap(buffer[i]);
    if (data[i] == NULL) return fail("xrtBOMap");
  }
  for (uint32_t i = 0; i < words; ++i) {
    data[0][i] = i * 2654435761U;
    data[1][i] = ~i * 40503U;
    data[2][i] = 0;
  }
  for (int i = 0; i < 3; ++i) {
    if (xrtBOSync(buffer[i], XCL_BO_SYNC_BO_TO_DEVICE, size, 0) != 0) return fail("xrtBOSync");
  }

  xrtRunHandle run = xrtRunOpen(kernel);
  if (run == XRT_NULL_HANDLE) return fail("xrtRunOpen");
  for (int i = 0; i < 3; ++i) {
    if (xrtRunSetArg(run, i, buffer[i]) != 0) return fail("xrtRunSetArg");
  }
  if (xrtRunSetArg(run, 3, words) != 0) return fail("xrtRunSetArg");
  if (xrtRunStart(run) != 0) return fail("xrtRunStart");
  if (xrtRunWait(run) != ERT_CMD_STATE_COMPLETED) return fail("xrtRunWait");

  if (xrtBOSync(buffer[2], XCL_BO_SYNC_BO_FROM_DEVICE, size, 0) != 0) return fail("xrtBOSync");
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < words; ++i) wrong += data[2][i] != data[0][i] + data[1][i];
  printf("vadd: %u words, %u wrong\n", words, wrong);

  xrtRunClose(run);
  for (int i = 0; i < 3; ++i) xrtBOFree(buffer[i]);
  xrtKernelClose(kernel);
  xrtDeviceClose(device);
  return wrong == 0 ? 0 : 1;
}
