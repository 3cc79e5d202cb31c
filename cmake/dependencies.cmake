# Every library that is linked, as an imported target. Packages, versions and reasons: dependencies.txt.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(Boost 1.74 REQUIRED)
pkg_check_modules(uring REQUIRED IMPORTED_TARGET liburing)
pkg_check_modules(jemalloc REQUIRED IMPORTED_TARGET jemalloc)
pkg_check_modules(lz4 REQUIRED IMPORTED_TARGET liblz4)
pkg_check_modules(isal REQUIRED IMPORTED_TARGET libisal)
find_library(ROCKSDB_LIBRARY rocksdb REQUIRED)
add_library(rocksdb INTERFACE)
target_link_libraries(rocksdb INTERFACE ${ROCKSDB_LIBRARY})

# BLAKE3 as LLVM ships it: the only packaged C implementation on Debian 12 and Ubuntu 24.04.
find_library(LLVM_SUPPORT LLVMSupport PATHS /usr/lib/llvm-19/lib REQUIRED NO_DEFAULT_PATH)
find_path(LLVM_INCLUDE llvm-c/blake3.h PATHS /usr/lib/llvm-19/include REQUIRED NO_DEFAULT_PATH)
add_library(blake3 INTERFACE)
target_include_directories(blake3 SYSTEM INTERFACE ${LLVM_INCLUDE})
target_link_libraries(blake3 INTERFACE ${LLVM_SUPPORT})

# The text format only: HTTP goes through our own doors.
find_library(PROMETHEUS_CORE prometheus-cpp-core REQUIRED)
add_library(prometheus_core INTERFACE)
target_link_libraries(prometheus_core INTERFACE ${PROMETHEUS_CORE})
