/* hash.c - SHA-256 by OpenSSL, which picks the CPU's SHA instructions. The plain SHA256_ functions and not EVP: EVP's
 * first digest loads providers and a configuration file, 1.3 ms of every worker's life (measured), and each later one
 * takes memory. They are marked as deprecated since OpenSSL 3, and kept. (SHA256() in one call is EVP again.) */
#define OPENSSL_API_COMPAT 0x10100000L
#include "hash.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem.h"

struct hash {
	SHA256_CTX ctx;
};

struct hash *hash_new(void)
{
	struct hash *h = mem_alloc(sizeof *h);
	SHA256_Init(&h->ctx); /* cannot fail, nor can the others */
	return h;
}

void hash_add(struct hash *h, const void *bytes, size_t n)
{
	SHA256_Update(&h->ctx, bytes, n);
}

static void hash_raw(struct hash *h, unsigned char digest[32])
{
	SHA256_Final(digest, &h->ctx);
	free(h);
}

void hash_end(struct hash *h, char hex[HASH_HEX])
{
	unsigned char digest[32];
	hash_raw(h, digest);
	for (int i = 0; i < 32; i++) { /* a plan of a million runs makes millions of keys: no snprintf here */
		hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
		hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
	}
	hex[64] = '\0';
}

void hash_bytes(const void *bytes, size_t n, char hex[HASH_HEX])
{
	struct hash *h = hash_new();
	hash_add(h, bytes, n);
	hash_end(h, hex);
}

uint64_t hash_u64(const void *bytes, size_t n)
{
	struct hash *h = hash_new();
	hash_add(h, bytes, n);
	unsigned char digest[32];
	hash_raw(h, digest);
	uint64_t value = 0;
	for (int i = 7; i >= 0; i--)
		value = value << 8 | digest[i];
	return value;
}

int hash_file(const char *path, char hex[HASH_HEX], struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "cannot open %s", path);
	struct hash *h = hash_new();
	size_t room = 1 << 20;
	char *block = mem_alloc(room);
	int result = 0;
	for (;;) {
		ssize_t n = read(fd, block, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			result = err_errno(err, "cannot read %s", path);
		if (n <= 0)
			break;
		hash_add(h, block, (size_t)n);
	}
	hash_end(h, hex);
	free(block);
	close(fd);
	return result;
}
