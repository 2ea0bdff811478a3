// Makes common/crypto/des_sboxes.h: the S-boxes of DES (FIPS 46-3, appendix 1) as Boolean circuits, one in gates of two
// inputs and one in look-up tables of three inputs (AVX-512's VPTERNLOG).
//
//   sbox_circuits FILE               writes the header from the recipes below
//   sbox_circuits --check FILE       exit 1 when FILE is not what they make
//   sbox_circuits --search SECONDS   looks for smaller circuits; prints the recipes of the smallest
//
// Every signal is its truth table of 64 bits, one for each value of the six inputs. An output is built from the signals
// that are there: one of them, or a gate or two on top of them; where that does not do, the output is split by one
// input into halves, each half is built the same way with the other half as don't-cares, and a multiplexer joins them
// (M. Kwan, "Reducing the gate count of bitslice DES", 2000). Which signals are tried first is random: a recipe names
// the seed for each output, so that the same recipe makes the same circuit everywhere.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

namespace {

using Table = std::uint64_t;  // bit n: the value where the six inputs, first one on top, read n

// FIPS 46-3 appendix 1: row by the outer two inputs, column by the inner four.
constexpr std::uint8_t kBoxes[8][64] = {
    {14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7, 0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5, 3, 8,
     4, 1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0, 15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14, 10, 0, 6, 13},
    {15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10, 3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9, 11, 5,
     0, 14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15, 13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12, 0, 5, 14, 9},
    {10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8, 13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11, 15, 1,
     13, 6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7, 1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3, 11, 5, 2, 12},
    {7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15, 13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10, 14, 9,
     10, 6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4, 3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11, 12, 7, 2, 14},
    {2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9, 14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9, 8, 6,
     4, 2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14, 11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9, 10, 4, 5, 3},
    {12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11, 10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11, 3, 8,
     9, 14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6, 4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7, 6, 0, 8, 13},
    {4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1, 13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15, 8, 6,
     1, 4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2, 6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15, 14, 2, 3, 12},
    {13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7, 1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14, 9, 2,
     7, 11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8, 2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0, 3, 5, 6, 11}};

/// Output bit `out` of a box, 0 the most significant.
Table output(int box, int out) {
  Table made = 0;
  for (unsigned n = 0; n < 64; ++n) {
    const unsigned row = (n >> 5 << 1) | (n & 1), column = n >> 1 & 15;
    made |= Table{kBoxes[box][16 * row + column] >> (3 - out) & 1u} << n;
  }
  return made;
}
/// Input `in` of a box, 0 the most significant bit of n.
Table input(int in) {
  Table made = 0;
  for (unsigned n = 0; n < 64; ++n) made |= Table{n >> (5 - in) & 1} << n;
  return made;
}

/// SplitMix64: the same numbers from the same seed with every compiler.
struct Random {
  std::uint64_t state;
  std::uint64_t next() {
    std::uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }
  int below(int n) { return static_cast<int>(next() % static_cast<std::uint64_t>(n)); }
};

enum class Style { kGates, kLuts };

/// A signal or its complement.
struct Ref {
  int node;
  bool negated;
};

struct Node {
  Table table;
  // Gates: '&', '|', '^', or '<' for ~a & b. Luts: 'L' with the function in `lut`, as VPTERNLOG counts it. Inputs: 'i'.
  char op;
  int a, b, c;
  std::uint8_t lut;
};

struct Circuit {
  std::vector<Node> nodes;
  std::array<Ref, 4> outputs{};
  unsigned built = 0;  // a bit for each output

  Circuit() {
    for (int i = 0; i < 6; ++i) nodes.push_back({input(i), 'i', i, 0, 0, 0});
  }
  int size() const { return static_cast<int>(nodes.size()); }
  Table table(Ref r) const { return r.negated ? ~nodes[static_cast<std::size_t>(r.node)].table : nodes[static_cast<std::size_t>(r.node)].table; }
  Table of(int n) const { return nodes[static_cast<std::size_t>(n)].table; }
  /// Instructions: the nodes, and a complement for each output that comes out negated.
  int cost() const {
    return size() - 6 + static_cast<int>(std::ranges::count_if(outputs, [](Ref r) { return r.negated; }));
  }

  Ref add(const Node& node, bool negated) {
    for (int i = 0; i < size(); ++i) {
      if (of(i) == node.table) return {i, negated};
      if (of(i) == ~node.table) return {i, !negated};
    }
    nodes.push_back(node);
    return {size() - 1, negated};
  }
  /// Complements of operands move into the kind of gate and into the complement of its result, so none is ever made.
  Ref add_and(Ref x, Ref y) {
    const Table a = of(x.node), b = of(y.node);
    if (x.negated && y.negated) return add({a | b, '|', x.node, y.node, 0, 0}, true);
    if (x.negated) return add({~a & b, '<', x.node, y.node, 0, 0}, false);
    if (y.negated) return add({~b & a, '<', y.node, x.node, 0, 0}, false);
    return add({a & b, '&', x.node, y.node, 0, 0}, false);
  }
  Ref add_xor(Ref x, Ref y) {
    return add({of(x.node) ^ of(y.node), '^', x.node, y.node, 0, 0}, x.negated != y.negated);
  }
  /// A table of three signals that is `target` where `mask` says so; the caller knows that there is one.
  Ref add_lut(int a, int b, int c, Table target, Table mask) {
    std::uint8_t lut = 0;
    Table made = 0;
    for (unsigned n = 0; n < 8; ++n) {
      const Table cell = (n & 4 ? of(a) : ~of(a)) & (n & 2 ? of(b) : ~of(b)) & (n & 1 ? of(c) : ~of(c));
      if ((cell & mask & target) == 0) continue;
      lut = static_cast<std::uint8_t>(lut | 1u << n);
      made |= cell;
    }
    return add({made, 'L', a, b, c, lut}, false);
  }
};

/// Builds outputs on top of a circuit.
class Builder {
 public:
  Builder(Style style, std::uint64_t seed) : style_(style), random_{seed} {}

  /// `target` where `mask` says so, on top of `circuit`, which may grow to `limit` nodes. Inputs in `split` (a bit each)
  /// are decided already.
  std::optional<Ref> build(Circuit& circuit, Table target, Table mask, unsigned split, int limit) {
    const int n = circuit.size();
    std::vector<int> order(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) order[static_cast<std::size_t>(i)] = i;
    for (int i = n - 1; i > 0; --i) std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(random_.below(i + 1))]);
    for (int i : order) {
      if (((circuit.of(i) ^ target) & mask) == 0) return Ref{i, false};
      if (((~circuit.of(i) ^ target) & mask) == 0) return Ref{i, true};
    }
    if (n >= limit) return std::nullopt;
    if (auto made = style_ == Style::kGates ? few_gates(circuit, order, target, mask, limit) : few_luts(circuit, order, target, mask, limit)) return made;
    if (n + 2 > limit) return std::nullopt;

    // Splits: each free input in a random order; the smallest result counts.
    std::optional<Ref> best;
    Circuit best_circuit;
    std::array<int, 6> inputs{0, 1, 2, 3, 4, 5};
    for (int i = 5; i > 0; --i) std::swap(inputs[static_cast<std::size_t>(i)], inputs[static_cast<std::size_t>(random_.below(i + 1))]);
    for (int in : inputs) {
      if ((split >> in & 1) != 0) continue;
      for (int way = 0; way < 2; ++way) {
        Circuit attempt = circuit;
        const auto made = split_by(attempt, in, way != 0, target, mask, split | 1u << in, limit);
        if (!made || (best && attempt.size() >= best_circuit.size())) continue;
        best = made;
        limit = attempt.size() - 1;
        best_circuit = std::move(attempt);
      }
    }
    if (best) circuit = std::move(best_circuit);
    return best;
  }

 private:
  std::optional<Ref> split_by(Circuit& c, int in, bool way, Table target, Table mask, unsigned split, int limit) {
    const Table x = way ? ~c.of(in) : c.of(in);
    if (style_ == Style::kLuts) {
      const auto first = build(c, target, mask & ~x, split, limit - 1);
      if (!first) return std::nullopt;
      const auto second = build(c, target, mask & x, split, limit - 1);
      if (!second || c.size() >= limit) return std::nullopt;
      return c.add_lut(in, first->node, second->node, target, mask);
    }
    // (x & d) ^ e: e is right where x is 0, d says where e is wrong elsewhere.
    const auto e = build(c, target, mask & ~x, split, limit - 2);
    if (!e) return std::nullopt;
    const auto d = build(c, target ^ c.table(*e), mask & x, split, limit - 2);
    if (!d) return std::nullopt;
    const Ref gate = c.add_and({in, way}, *d);
    const Ref made = c.add_xor(gate, *e);
    if (c.size() > limit) return std::nullopt;
    return made;
  }

  std::optional<Ref> few_gates(Circuit& c, const std::vector<int>& order, Table target, Table mask, int limit) {
    struct Pair {
      Table table;
      int a, b, kind;  // kind 0 to 3: and, with a bit for each operand negated; 4: xor
    };
    std::vector<Pair> pairs;
    const auto hits = [target, mask](Table t) { return ((t ^ target) & mask) == 0 ? 1 : ((~t ^ target) & mask) == 0 ? 2 : 0; };
    const auto add = [&c](int kind, Ref a, Ref b) {
      if (kind == 4) return c.add_xor(a, b);
      return c.add_and({a.node, a.negated != ((kind & 1) != 0)}, {b.node, b.negated != ((kind & 2) != 0)});
    };
    const auto turned = [](Ref r, int hit) { return Ref{r.node, r.negated != (hit == 2)}; };
    for (std::size_t i = 0; i < order.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        const Table a = c.of(order[i]), b = c.of(order[j]);
        const Table made[5] = {a & b, ~a & b, a & ~b, ~(a | b), a ^ b};
        for (int kind = 0; kind < 5; ++kind) {
          if (const int hit = hits(made[kind])) return turned(add(kind, {order[i], false}, {order[j], false}), hit);
          pairs.push_back({made[kind], order[i], order[j], kind});
        }
      }
    }
    if (c.size() + 2 > limit) return std::nullopt;
    for (const Pair& p : pairs) {
      for (int k : order) {
        const Table a = p.table, b = c.of(k);
        const Table made[5] = {a & b, ~a & b, a & ~b, ~(a | b), a ^ b};
        for (int kind = 0; kind < 5; ++kind) {
          if (const int hit = hits(made[kind])) {
            const Ref pair = add(p.kind, {p.a, false}, {p.b, false});
            return turned(add(kind, pair, {k, false}), hit);
          }
        }
      }
    }
    if (c.size() + 3 > limit) return std::nullopt;
    // Two pairs and an exclusive or: by a sorted list, for there are thousands of pairs.
    std::vector<std::pair<Table, std::size_t>> sorted;
    for (std::size_t i = 0; i < pairs.size(); ++i) sorted.emplace_back(pairs[i].table & mask, i);
    std::ranges::sort(sorted);
    for (const Pair& p : pairs) {
      for (const Table wanted : {(p.table ^ target) & mask, ~(p.table ^ target) & mask}) {
        const auto found = std::ranges::lower_bound(sorted, wanted, {}, &std::pair<Table, std::size_t>::first);
        if (found == sorted.end() || found->first != wanted) continue;
        const Pair& q = pairs[found->second];
        const Ref second = add(q.kind, {q.a, false}, {q.b, false});
        const Ref first = add(p.kind, {p.a, false}, {p.b, false});
        const Ref made = c.add_xor(first, second);
        return turned(made, hits(c.table(made)));
      }
    }
    return std::nullopt;
  }

  /// Whether a table of the signals can be `target`: no cell of their values holds both a 0 and a 1 of it.
  template <std::size_t N>
  static bool separates(const std::array<Table, N>& signals, Table ones, Table zeros, std::size_t from = 0) {
    if (ones == 0 || zeros == 0) return true;
    if (from == N) return false;
    const Table s = signals[from];
    return separates(signals, ones & s, zeros & s, from + 1) && separates(signals, ones & ~s, zeros & ~s, from + 1);
  }

  std::optional<Ref> few_luts(Circuit& c, const std::vector<int>& order, Table target, Table mask, int limit) {
    const Table ones = target & mask, zeros = ~target & mask;
    const std::size_t n = order.size();
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        for (std::size_t k = 0; k < j; ++k) {
          if (separates<3>({c.of(order[i]), c.of(order[j]), c.of(order[k])}, ones, zeros)) return c.add_lut(order[i], order[j], order[k], target, mask);
        }
      }
    }
    if (c.size() + 2 > limit) return std::nullopt;
    // Two tables: one of three signals below one of two signals and the first. Any five signals that separate may do.
    std::array<std::size_t, 5> p{};
    for (p[0] = 0; p[0] < n; ++p[0])
      for (p[1] = 0; p[1] < p[0]; ++p[1])
        for (p[2] = 0; p[2] < p[1]; ++p[2])
          for (p[3] = 0; p[3] < p[2]; ++p[3])
            for (p[4] = 0; p[4] < p[3]; ++p[4]) {
              std::array<int, 5> s;
              std::array<Table, 5> t;
              for (std::size_t i = 0; i < 5; ++i) t[i] = c.of(s[i] = order[p[i]]);
              if (!separates<5>(t, ones, zeros)) continue;
              if (auto made = two_luts(c, s, target, mask)) return made;
            }
    return std::nullopt;
  }

  /// Two tables over five signals.
  std::optional<Ref> two_luts(Circuit& c, const std::array<int, 5>& s, Table target, Table mask) {
    for (std::size_t d = 0; d < 5; ++d) {
      for (std::size_t e = 0; e < d; ++e) {
        std::array<int, 3> in;
        std::size_t filled = 0;
        for (std::size_t i = 0; i < 5; ++i) {
          if (i != d && i != e) in[filled++] = s[i];
        }
        for (unsigned lut = 1; lut < 128; ++lut) {  // the upper half are complements
          Table made = 0;
          for (unsigned v = 0; v < 8; ++v) {
            if ((lut >> v & 1) == 0) continue;
            made |= (v & 4 ? c.of(in[0]) : ~c.of(in[0])) & (v & 2 ? c.of(in[1]) : ~c.of(in[1])) & (v & 1 ? c.of(in[2]) : ~c.of(in[2]));
          }
          if (!separates<3>({made, c.of(s[d]), c.of(s[e])}, target & mask, ~target & mask)) continue;
          const Ref first = c.add_lut(in[0], in[1], in[2], made, ~Table{0});
          return c.add_lut(first.node, s[d], s[e], target, mask);
        }
      }
    }
    return std::nullopt;
  }

  const Style style_;
  Random random_;
};

struct Step {
  int output;
  std::uint64_t seed;
};
using Recipe = std::array<Step, 4>;

bool take(Circuit& circuit, Style style, int box, const Step& step) {
  const int limit = style == Style::kGates ? 6 + 62 : 6 + 32;  // nodes; where the search is cut shapes what it finds
  const auto made = Builder(style, step.seed).build(circuit, output(box, step.output), ~Table{0}, 0, limit);
  if (!made) return false;
  circuit.outputs[static_cast<std::size_t>(step.output)] = *made;
  circuit.built |= 1u << step.output;
  return true;
}

// clang-format off
constexpr Recipe kGateRecipes[8] = {
    {{{0, 481}, {3, 528}, {2, 547}, {1, 565}}},  // S1: 56
    {{{0, 195}, {1, 229}, {3, 259}, {2, 277}}},  // S2: 52
    {{{3, 403}, {0, 410}, {1, 445}, {2, 469}}},  // S3: 50
    {{{0, 6}, {1, 55}, {3, 64}, {2, 89}}},  // S4: 41
    {{{2, 208}, {3, 239}, {1, 275}, {0, 277}}},  // S5: 53
    {{{3, 19}, {2, 36}, {1, 64}, {0, 87}}},  // S6: 50
    {{{3, 21}, {0, 25}, {1, 69}, {2, 92}}},  // S7: 50
    {{{1, 9}, {2, 40}, {3, 64}, {0, 92}}}};  // S8: 53
constexpr Recipe kLutRecipes[8] = {
    {{{3, 691}, {0, 721}, {2, 747}, {1, 761}}},  // S1: 28
    {{{1, 105}, {3, 156}, {0, 162}, {2, 185}}},  // S2: 26
    {{{0, 483}, {3, 534}, {1, 562}, {2, 567}}},  // S3: 26
    {{{1, 103}, {0, 140}, {2, 162}, {3, 183}}},  // S4: 29
    {{{1, 104}, {2, 129}, {3, 159}, {0, 181}}},  // S5: 28
    {{{0, 1}, {3, 35}, {1, 81}, {2, 89}}},  // S6: 26
    {{{3, 403}, {0, 410}, {2, 451}, {1, 470}}},  // S7: 27
    {{{1, 10}, {3, 35}, {0, 81}, {2, 85}}}};  // S8: 26
// clang-format on

/// Looks for small circuits of a box: of many tries at each output the few smallest go on.
void search(Style style, int box, double seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  struct State {
    Circuit circuit;
    Recipe recipe{};
  };
  std::uint64_t seed = 1;
  int best = 100;
  constexpr std::size_t kKeep = 6;
  while (std::chrono::steady_clock::now() < end) {
    std::vector<State> kept{State{}};
    for (std::size_t level = 0; level < 4; ++level) {
      std::vector<State> next;
      for (const State& state : kept) {
        for (int out = 0; out < 4; ++out) {
          if ((state.circuit.built >> out & 1) != 0) continue;
          for (int attempt = 0; attempt < (level == 0 ? 6 : 2); ++attempt) {
            State grown = state;
            grown.recipe[level] = {out, seed++};
            if (take(grown.circuit, style, box, grown.recipe[level])) next.push_back(std::move(grown));
          }
        }
      }
      std::ranges::stable_sort(next, {}, [](const State& s) { return s.circuit.cost(); });
      // One of a kind: circuits that grew from the same place to the same size are often the same.
      kept.clear();
      std::map<std::pair<unsigned, int>, int> seen;
      for (State& state : next) {
        if (kept.size() < kKeep && seen[{state.circuit.built, state.circuit.cost()}]++ < 3) kept.push_back(std::move(state));
      }
    }
    if (!kept.empty() && kept[0].circuit.cost() < best) {
      best = kept[0].circuit.cost();
      std::string text;
      for (const Step& step : kept[0].recipe) text += fmt::format("{}{{{}, {}}}", text.empty() ? "" : ", ", step.output, step.seed);
      fmt::print("{} S{} {:>3}: {{{{{}}}}},\n", style == Style::kGates ? "gates" : "luts ", box + 1, best, text);
      std::fflush(stdout);
    }
  }
}

/// A circuit as the body of a C++ function: inputs a1 to a6 and outputs o1 to o4 as FIPS 46-3 counts them.
std::string code(const Circuit& c, int box) {
  const auto name = [](int n) { return n < 6 ? fmt::format("a{}", n + 1) : fmt::format("n{}", n - 5); };
  std::string out = fmt::format("/// S{}: {} instructions.\ntemplate <>\n[[gnu::always_inline]] inline void sbox<{}>(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4) {{\n",
                                box + 1, c.cost(), box + 1);
  for (int n = 6; n < c.size(); ++n) {
    const Node& node = c.nodes[static_cast<std::size_t>(n)];
    const std::string a = name(node.a), b = name(node.b);
    std::string value = node.op == '<' ? fmt::format("~{} & {}", a, b) : fmt::format("{} {} {}", a, node.op, b);
    if (node.op == 'L') value = fmt::format("lut<0x{:02x}>({}, {}, {})", node.lut, a, b, name(node.c));
    out += fmt::format("  const V {} = {};\n", name(n), value);
  }
  for (std::size_t i = 0; i < 4; ++i) out += fmt::format("  o{} ^= {}{};\n", i + 1, c.outputs[i].negated ? "~" : "", name(c.outputs[i].node));
  return out + "}\n";
}

/// The header, or nothing where a recipe makes no circuit.
std::optional<std::string> header() {
  std::string out =
      "// The S-boxes of DES (FIPS 46-3, appendix 1) as Boolean circuits over vectors V: what a box gives is added (exclusive or)\n"
      "// to its outputs. Made by common/crypto/generate/sbox_circuits.cpp; do not edit.\n#pragma once\n\nnamespace {\n\n"
      "template <unsigned kBox>\nvoid sbox(V a1, V a2, V a3, V a4, V a5, V a6, V& o1, V& o2, V& o3, V& o4);\n\n";
  for (const Style style : {Style::kLuts, Style::kGates}) {
    out += style == Style::kLuts ? "#ifdef __AVX512F__\n\n" : "#else\n\n";
    for (int box = 0; box < 8; ++box) {
      Circuit circuit;
      for (const Step& step : (style == Style::kLuts ? kLutRecipes : kGateRecipes)[box]) {
        if (!take(circuit, style, box, step)) return std::nullopt;
      }
      for (int i = 0; i < 4; ++i) {
        if (circuit.table(circuit.outputs[static_cast<std::size_t>(i)]) != output(box, i)) return std::nullopt;
      }
      out += code(circuit, box) + "\n";
    }
  }
  return out + "#endif\n\n}  // namespace\n";
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view option = argc == 3 ? argv[1] : "";
  if (option == "--search") {
    for (int box = 0; box < 8; ++box) {
      search(Style::kLuts, box, std::atof(argv[2]));
      search(Style::kGates, box, std::atof(argv[2]));
    }
    return 0;
  }
  if (argc != 2 && option != "--check") {
    fmt::print(stderr, "usage: sbox_circuits FILE | --check FILE | --search SECONDS\n");
    return 2;
  }
  const auto made = header();
  if (!made) {
    fmt::print(stderr, "sbox_circuits: a recipe does not make its box\n");
    return 1;
  }
  if (option == "--check") {
    std::ostringstream there;
    there << std::ifstream(argv[2]).rdbuf();
    if (there.str() == *made) return 0;
    fmt::print(stderr, "sbox_circuits: {} is stale\n", argv[2]);
    return 1;
  }
  return (std::ofstream(argv[1]) << *made).flush() ? 0 : 1;
}
