/* hash.h - SHA-256 (OpenSSL's libcrypto) as 64 lower-case hex digits: keys and digests.
 *
 *     char key[HASH_HEX];
 *     hash_bytes(text, strlen(text), key);
 *     if (hash_file("model.safetensors", key, err) < 0) ... */
#ifndef SWEEP_BASE_HASH_H
#define SWEEP_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define HASH_HEX 65 /* 64 digits and NUL */

struct hash; /* a running digest */
struct hash *hash_new(void);
void hash_add(struct hash *h, const void *bytes, size_t n);
void hash_end(struct hash *h, char hex[HASH_HEX]); /* frees h */

void hash_bytes(const void *bytes, size_t n, char hex[HASH_HEX]);
int hash_file(const char *path, char hex[HASH_HEX], struct err *err);
/* The first 64 bits of the SHA-256, little-endian: a seed for counter-based randomness. */
uint64_t hash_u64(const void *bytes, size_t n);

#endif
