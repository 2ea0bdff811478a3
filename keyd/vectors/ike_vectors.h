// Runs the IKE vector files (tests/vectors/ike_*.json, dh_groups.json) through the same code as the daemon.
// For the unit tests and for vector-check.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "common/base/result.h"

namespace esplanade::ike {

/// One case of ike_psk.json, ike_rsasig.json or ike_gss_mock.json: Diffie-Hellman, SKEYIDs, hashes, IVs, every message byte-exact in both
/// directions (parsed and built, decrypted and encrypted), KEYMAT, informational exchanges; signatures made
/// and verified, GSS tokens and names. Returns the
/// number of comparisons. Errors: kMalformed with the first difference, kUnsupported when the case needs what
/// this build does not do (another authentication method).
Result<unsigned> run_ike_vector(const nlohmann::json& vector_case);

/// One case of dh_groups.json.
Result<unsigned> run_dh_group_vector(const nlohmann::json& vector_case);

}  // namespace esplanade::ike
