// Not a test: fails on purpose, for seed_test.py.
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "common/testing/seed.h"

TEST_CASE("a case that holds") { CHECK(std::getenv("PATH") != nullptr); }

TEST_CASE("a case that fails, with \"quotes\" in its name") {
  std::mt19937_64 random(esplanade::testing::seed());
  const unsigned long long value = random();
  std::printf("value %llu\n", value);
  CHECK(value == 0);
}

TEST_CASE("a case that dies") {
  if (std::getenv("ESPLANADE_DIE") != nullptr) std::abort();
}
