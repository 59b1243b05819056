// SPDX-License-Identifier: MIT
// A consumer of the whole pipeline and of .h5ad, header-only (links what stofm::hdf5 or stofm-hdf5.pc name)
// or by stofm::compiled. There is no model here: that a slice is read, and what is said without one.
#include <stofm/embed.hpp>

#include <cstdio>

#if defined(STANDARD)
static_assert(__cplusplus >= STANDARD);
#endif
#if defined(STOFM_COMPILED) && \
    (defined(EIGEN_WORLD_VERSION) || defined(INCLUDE_NLOHMANN_JSON_HPP_) || defined(H5_VERS_MAJOR))
#error "embed.hpp is more than declarations"
#endif

namespace {
/// The code of what `call` refuses with.
template <class Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const stofm::Error& error) {
    return error.parts().code;
  }
  return "nothing refused";
}
}  // namespace

int main(int, char** argv) {
  const std::int64_t forked = stofm::io::read_h5ad(argv[1]).cells;  // in a child, which ends here
  // [no fork]
  stofm::io::H5adReadOptions reading;
  reading.isolation = stofm::io::H5adIsolation::none;  // libhdf5 in this process
  const auto slice = stofm::io::read_h5ad(argv[1], reading);
  // [no fork]
  const bool same = forked == slice.cells;
  const std::string no_file = refusal([] { stofm::pipeline::load_model("there is no such file"); });
  const std::string no_model = refusal([&] { stofm::pipeline::embed_slice(slice, {}); });
  const std::string no_input = refusal([] { stofm::io::write_h5ad_result("nor this one", "output", {}); });
  std::printf("embeds: %lld cells; refused with %s, %s, %s\n", static_cast<long long>(slice.cells),
              no_file.c_str(), no_model.c_str(), no_input.c_str());
  const bool right = slice.cells > 0 && same && no_file == "STOFM-3001" && no_model == "STOFM-4334" &&
                     no_input == "STOFM-3501";
  return right ? 0 : 1;
}
