// SPDX-License-Identifier: MIT
#include "stofm/io/sha256.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "tests/support/paths.hpp"

using namespace stofm::io;

TEST_CASE("known answers of FIPS 180-4") {
  CHECK(sha256_hex(std::string_view("")) ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex(std::string_view("abc")) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex(std::string_view("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256_hex(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("pieces of any size give the digest of the whole") {
  std::string text;
  for (int i = 0; i < 300; ++i) {
    text += static_cast<char>(i * 37);
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{64}, std::size_t{65}}) {
      Sha256 hash;
      for (std::size_t at = 0; at < text.size(); at += piece)
        hash.update(std::string_view(text).substr(at, piece));
      if (hash.hex() != sha256_hex(text)) FAIL_CHECK(i << " bytes in pieces of " << piece);
    }
  }
  Sha256 hash;
  hash.update("ab");
  (void)hash.hex();
  hash.update("c");
  CHECK(hash.hex() == sha256_hex(std::string_view("abc")));
}

TEST_CASE("the instructions and the portable code agree") {
  std::string text(64 * 9, 'x');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * i + 11 * i);
  for (std::size_t blocks = 0; blocks <= 9; ++blocks) {
    detail::Sha256State a{1, 2, 3, 4, 5, 6, 7, 8}, b = a;
    const auto* data = reinterpret_cast<const unsigned char*>(text.data());
    detail::sha256_blocks_portable(a, data, blocks);
    detail::sha256_blocks(b, data, blocks);
    CHECK(a == b);
  }
}

TEST_CASE("a file is hashed in pieces") {
  const stofm::test::ScratchDir dir;
  const std::string text(3'500'001, 'q');
  std::ofstream(dir / "f", std::ios::binary) << text;
  CHECK(sha256_file(dir / "f") == sha256_hex(text));
  std::ofstream(dir / "empty");
  CHECK(sha256_file(dir / "empty") == sha256_hex(std::string_view("")));
}
