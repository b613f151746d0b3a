// SPDX-License-Identifier: Apache-2.0
#include "exporter/exposition/gzip.h"

#include <libdeflate.h>

#include <memory>
#include <new>

namespace vcpu {
namespace {

struct FreeCompressor {
  void operator()(libdeflate_compressor* compressor) const {
    libdeflate_free_compressor(compressor);
  }
};

}  // namespace

std::string gzip(std::string_view text) {
  constexpr int kLevel = 1;
  const std::unique_ptr<libdeflate_compressor, FreeCompressor> compressor(
      libdeflate_alloc_compressor(kLevel));
  if (!compressor) throw std::bad_alloc();
  std::string packed(
      libdeflate_gzip_compress_bound(compressor.get(), text.size()), '\0');
  packed.resize(libdeflate_gzip_compress(compressor.get(), text.data(),
                                         text.size(), packed.data(),
                                         packed.size()));
  // The bound is larger than the text itself, and a page may be kept a while.
  packed.shrink_to_fit();
  return packed;
}

}  // namespace vcpu
