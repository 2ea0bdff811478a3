find_package(nlohmann_json REQUIRED)

foreach(part pfkey pfkey_socket)
  esplanade_test(NAME unit.host.${part} LABEL unit SOURCES ${part}_test.cpp LIBS esplanade_pfkey)
endforeach()
foreach(part checksum config io_thread mss policy pfkey_server outside oversize path_mtu reassembly segments fallback)
  esplanade_test(NAME unit.host.espd_${part} LABEL unit SOURCES espd_${part}_test.cpp LIBS esplanade_espd nlohmann_json::nlohmann_json)
endforeach()
# The example that people start from is correct.
add_test(NAME unit.host.espd_example COMMAND espd --check --config ${CMAKE_SOURCE_DIR}/docs/examples/espd.toml)
set_tests_properties(unit.host.espd_example PROPERTIES LABELS unit TIMEOUT 10)
