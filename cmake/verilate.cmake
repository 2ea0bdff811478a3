# Verilated models as libraries. Installed with the package EsplanadeEmulation.
find_program(VERILATOR verilator REQUIRED)
execute_process(COMMAND ${VERILATOR} --getenv VERILATOR_ROOT OUTPUT_VARIABLE verilator_root
                OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
set(ESPLANADE_VERILATOR_INCLUDE ${verilator_root}/include)

# Verilator's runtime, compiled once for all models; not our code, so not our warnings.
find_package(ZLIB REQUIRED)
find_package(Threads REQUIRED)
add_library(verilated_runtime STATIC ${ESPLANADE_VERILATOR_INCLUDE}/verilated.cpp
            ${ESPLANADE_VERILATOR_INCLUDE}/verilated_fst_c.cpp ${ESPLANADE_VERILATOR_INCLUDE}/verilated_threads.cpp)
target_include_directories(verilated_runtime SYSTEM PUBLIC ${ESPLANADE_VERILATOR_INCLUDE} ${ESPLANADE_VERILATOR_INCLUDE}/vltstd)
target_compile_features(verilated_runtime PUBLIC cxx_std_17)
target_compile_options(verilated_runtime PRIVATE -w -O2)
target_link_libraries(verilated_runtime PUBLIC ZLIB::ZLIB Threads::Threads)

# esplanade_verilate(NAME target TOP module FILES a.sv... [ARGS ...])
# A library `target` with class V<module>, FST tracing compiled in. Warnings are errors; -Wno-fatal among ARGS lets them
# pass. Verilator writes and its makefile compiles; ccache where present.
function(esplanade_verilate)
  cmake_parse_arguments(V "" "NAME;TOP" "FILES;ARGS" ${ARGN})
  set(dir ${CMAKE_CURRENT_BINARY_DIR}/${V_NAME}.dir)
  set(archives ${dir}/V${V_TOP}__ALL.a)
  set(objcache "")
  if(CCACHE)
    set(objcache OBJCACHE=${CCACHE})
  endif()
  add_custom_command(
    OUTPUT ${archives} ${dir}/V${V_TOP}.h ${dir}/V${V_TOP}___024root.h  # what includes them is compiled anew in the same run
    COMMAND ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/quiet.sh ${dir}.log ${CMAKE_COMMAND} -E env ${objcache} ${VERILATOR} --cc --build -j 2 --top-module ${V_TOP} --Mdir ${dir}
            -O3 --x-assign fast --trace-fst --trace-structs -CFLAGS "-O2 -fPIC" -Wall ${V_ARGS} ${V_FILES}
    DEPENDS ${V_FILES}
    COMMENT "Verilating ${V_TOP} (log: ${dir}.log)"
    VERBATIM)
  add_custom_target(${V_NAME}_build DEPENDS ${archives})
  add_library(${V_NAME} INTERFACE)
  add_dependencies(${V_NAME} ${V_NAME}_build)
  target_include_directories(${V_NAME} SYSTEM INTERFACE ${dir})
  target_link_libraries(${V_NAME} INTERFACE ${archives} verilated_runtime)
endfunction()
