#include "esplanade/queue_spread.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace esplanade;

TEST_CASE("spread: an SA stays in its queue, and lanes get equally many SAs") {
  QueueSpread spread(8, 4);
  std::vector<std::uint32_t> lanes(4), queues(8);
  for (SaIndex sa = 100; sa < 164; ++sa) {
    const std::uint32_t queue = spread.assign(sa);
    REQUIRE(queue < 8);
    CHECK(spread.assign(sa) == queue);
    CHECK(spread.find(sa) == queue);
    ++queues[queue];
    ++lanes[spread.lane_of(queue)];
    CHECK(*std::ranges::max_element(lanes) - *std::ranges::min_element(lanes) <= 1);
    CHECK(*std::ranges::max_element(queues) - *std::ranges::min_element(queues) <= 1);
  }
}

TEST_CASE("spread: with 6 queues on 4 lanes the lanes are level, not the queues") {
  QueueSpread spread(6, 4);
  std::vector<std::uint32_t> lanes(4);
  for (SaIndex sa = 0; sa < 40; ++sa) ++lanes[spread.lane_of(spread.assign(sa))];
  CHECK(lanes == std::vector<std::uint32_t>{10, 10, 10, 10});
}

TEST_CASE("spread: a place that became free is filled first") {
  QueueSpread spread(2, 2);
  for (SaIndex sa = 0; sa < 10; ++sa) static_cast<void>(spread.assign(sa));
  // 3 and 5 share a queue; both places are filled before the other queue gets another.
  const std::uint32_t left = *spread.find(3);
  REQUIRE(*spread.find(5) == left);
  for (const SaIndex gone : {3u, 3u, 5u, 77u}) spread.release(gone);
  CHECK_FALSE(spread.find(3));
  CHECK(spread.assign(50) == left);
  CHECK(spread.assign(51) == left);
}
