// SPDX-License-Identifier: MIT
/// \file
/// What a static libhdf5 that was built with its driver for S3 asks of libcurl and libcrypto. The program
/// opens files of the machine alone and never that driver; with these in their place the program of a wheel
/// needs neither library. Each says that it failed, in the way of the function it stands for.

extern "C" {
int curl_global_init(long) { return 2; }  // CURLE_FAILED_INIT
void curl_global_cleanup() {}
void* curl_easy_init() { return nullptr; }
int curl_easy_setopt(void*, int, ...) { return 2; }
int curl_easy_perform(void*) { return 2; }
void curl_easy_cleanup(void*) {}
void* curl_slist_append(void*, const char*) { return nullptr; }
void curl_slist_free_all(void*) {}
const void* EVP_sha256() { return nullptr; }
unsigned char* HMAC(const void*, const void*, int, const unsigned char*, unsigned long, unsigned char*,
                    unsigned*) {
  return nullptr;
}
unsigned char* SHA256(const unsigned char*, unsigned long, unsigned char*) { return nullptr; }
}
