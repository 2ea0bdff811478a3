// Coverage builds alone (CMake's ESPLANADE_COVERAGE): processes that end by _exit(), as a child of fork() must and as the simulator's model and the driver's
// hosts do, write their counters first. The linker leads the calls here (--wrap).

extern "C" {

#include <gcov.h>  // does not say that it is C

[[noreturn]] void __real__exit(int status);
[[noreturn]] void __real__Exit(int status);

[[noreturn]] void __wrap__exit(int status) {
  __gcov_dump();
  __real__exit(status);
}
[[noreturn]] void __wrap__Exit(int status) {
  __gcov_dump();
  __real__Exit(status);
}

}  // extern "C"
