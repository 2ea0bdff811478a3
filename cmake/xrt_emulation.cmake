# An XRT hardware emulation of any Verilated kernel. Installed with the package EsplanadeEmulation; docs/emulation.md has
# the way from RTL to a running program.
include(${CMAKE_CURRENT_LIST_DIR}/verilate.cmake)
find_package(Python3 3.11 REQUIRED COMPONENTS Interpreter)  # tomllib

# esplanade_kernel_pins(KERNEL file.toml OUTPUT header)
# The header that leads the platform to the pins of the kernel that the file describes: struct KernelPins.
function(esplanade_kernel_pins)
  cmake_parse_arguments(E "" "KERNEL;OUTPUT" "" ${ARGN})
  set(tool ${ESPLANADE_EMULATION_TOOLS}/mkpins.py)
  add_custom_command(OUTPUT ${E_OUTPUT} COMMAND Python3::Interpreter ${tool} ${E_KERNEL} --output ${E_OUTPUT}
                     DEPENDS ${tool} ${ESPLANADE_EMULATION_TOOLS}/description.py ${E_KERNEL} VERBATIM)
endfunction()

# esplanade_xclbin(NAME name KERNEL file.toml SIMULATOR path DIRECTORY dir)
# DIRECTORY/NAME.hw_emu.xclbin, which starts the simulator at `path`, and DIRECTORY/emconfig.json beside it.
function(esplanade_xclbin)
  cmake_parse_arguments(E "EXCLUDE_FROM_ALL" "NAME;KERNEL;SIMULATOR;DIRECTORY" "" ${ARGN})
  set(tool ${ESPLANADE_EMULATION_TOOLS}/mkxclbin.py)
  set(xclbin ${E_DIRECTORY}/${E_NAME}.hw_emu.xclbin)
  add_custom_command(
    OUTPUT ${xclbin} ${E_DIRECTORY}/emconfig.json
    COMMAND ${CMAKE_COMMAND} -E make_directory ${E_DIRECTORY}
    COMMAND Python3::Interpreter ${tool} ${E_KERNEL} --simulator ${E_SIMULATOR} --xclbin ${xclbin} --emconfig ${E_DIRECTORY}/emconfig.json
    DEPENDS ${tool} ${ESPLANADE_EMULATION_TOOLS}/description.py ${E_KERNEL}
    COMMENT "Writing ${xclbin}"
    VERBATIM)
endfunction()

# add_xrt_emulation(NAME name KERNEL file.toml SOURCES a.sv ... [VERILATOR_ARGS ...] [SIMULATOR name-sim]
#                   [DIRECTORY dir] [TRAITS header] [INSTALL datadir] [EXCLUDE_FROM_ALL])
# KERNEL describes the kernel; SOURCES are its RTL in compile order, or MODEL a library with the Verilated class.
# Targets: SIMULATOR, the program that XRT will start; NAME_xclbin, which makes DIRECTORY/NAME.hw_emu.xclbin and
# DIRECTORY/emconfig.json (default: NAME in the binary folder) and builds SIMULATOR. Both are part of `all`, unless
# EXCLUDE_FROM_ALL says otherwise.
# TRAITS: a header with struct esplanade::sim::KernelTraits, as sim/model/kernel.h says. INSTALL: the simulator goes to
# bin of the prefix, and an .xclbin that starts it there, with its emconfig.json, to `datadir`.
function(add_xrt_emulation)
  cmake_parse_arguments(E "EXCLUDE_FROM_ALL" "NAME;KERNEL;SIMULATOR;DIRECTORY;TRAITS;MODEL;INSTALL" "SOURCES;VERILATOR_ARGS" ${ARGN})
  if(E_UNPARSED_ARGUMENTS OR E_KEYWORDS_MISSING_VALUES)
    message(FATAL_ERROR "add_xrt_emulation: unknown or empty: ${E_UNPARSED_ARGUMENTS} ${E_KEYWORDS_MISSING_VALUES}")
  endif()
  if(NOT E_NAME OR NOT E_KERNEL OR (NOT E_SOURCES AND NOT E_MODEL))
    message(FATAL_ERROR "add_xrt_emulation needs NAME, KERNEL and SOURCES")
  endif()
  cmake_path(ABSOLUTE_PATH E_KERNEL NORMALIZE)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${E_KERNEL})
  execute_process(COMMAND ${Python3_EXECUTABLE} ${ESPLANADE_EMULATION_TOOLS}/mkpins.py ${E_KERNEL} --top OUTPUT_VARIABLE top
                  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  if(NOT E_SIMULATOR)
    set(E_SIMULATOR ${E_NAME}-sim)
  endif()
  if(NOT E_DIRECTORY)
    set(E_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/${E_NAME})
  endif()
  if(NOT E_MODEL)
    set(E_MODEL ${E_NAME}_model)
    set(sources "")
    foreach(source ${E_SOURCES})
      cmake_path(ABSOLUTE_PATH source NORMALIZE)
      list(APPEND sources ${source})
    endforeach()
    esplanade_verilate(NAME ${E_MODEL} TOP ${top} FILES ${sources} ARGS -Wno-fatal --no-timing ${E_VERILATOR_ARGS})
  endif()

  set(generated ${CMAKE_CURRENT_BINARY_DIR}/${E_NAME}.pins)
  file(MAKE_DIRECTORY ${generated})
  esplanade_kernel_pins(KERNEL ${E_KERNEL} OUTPUT ${generated}/kernel_pins.h)
  add_executable(${E_SIMULATOR} ${ESPLANADE_EMULATION_SOURCES}/sim/model/model.cpp ${generated}/kernel_pins.h)
  target_include_directories(${E_SIMULATOR} SYSTEM PRIVATE ${generated})
  target_compile_definitions(${E_SIMULATOR} PRIVATE ESPLANADE_KERNEL_PINS="kernel_pins.h")
  if(E_TRAITS)
    cmake_path(ABSOLUTE_PATH E_TRAITS NORMALIZE)
    target_compile_definitions(${E_SIMULATOR} PRIVATE ESPLANADE_KERNEL_TRAITS="${E_TRAITS}")
  endif()
  target_link_libraries(${E_SIMULATOR} PRIVATE esplanade::emulation ${E_MODEL})

  esplanade_xclbin(NAME ${E_NAME} KERNEL ${E_KERNEL} SIMULATOR $<TARGET_FILE:${E_SIMULATOR}> DIRECTORY ${E_DIRECTORY})
  set(made ${E_DIRECTORY}/${E_NAME}.hw_emu.xclbin)
  if(E_INSTALL)
    set(to_install ${CMAKE_CURRENT_BINARY_DIR}/${E_NAME}.install)
    esplanade_xclbin(NAME ${E_NAME} KERNEL ${E_KERNEL} SIMULATOR ${CMAKE_INSTALL_PREFIX}/bin/${E_SIMULATOR} DIRECTORY ${to_install})
    list(APPEND made ${to_install}/${E_NAME}.hw_emu.xclbin)
    install(TARGETS ${E_SIMULATOR} RUNTIME DESTINATION bin COMPONENT simulator)
    install(FILES ${to_install}/${E_NAME}.hw_emu.xclbin ${to_install}/emconfig.json DESTINATION ${E_INSTALL} COMPONENT simulator)
  endif()
  if(E_EXCLUDE_FROM_ALL)
    set_target_properties(${E_SIMULATOR} PROPERTIES EXCLUDE_FROM_ALL ON)
    add_custom_target(${E_NAME}_xclbin DEPENDS ${made})
  else()
    add_custom_target(${E_NAME}_xclbin ALL DEPENDS ${made})
  endif()
  add_dependencies(${E_NAME}_xclbin ${E_SIMULATOR})
endfunction()
