#include "net/tlsfile.h"

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/error.h>
#include <mbedtls/pem.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/mem.h"
#include "net/tlstext.h"

#define TLSFILE_NAME_MAX 300

static bool tlsfile_is_text(const char *given) {
  return strstr(given, "-----BEGIN") != NULL;
}

void tlsfile_name(const char *option, const char *given, char *to, size_t size) {
  if (tlsfile_is_text(given)) snprintf(to, size, "%s", option);
  else snprintf(to, size, "%s (%s)", option, given);
}

static bool tlsfile_read_all(int fd, size_t most, const char *name, struct buffer *to, struct err *err) {
  ssize_t got = 1;
  buffer_init(to, most + 1);
  while (got > 0 && buffer_size(to) <= most) {
    char part[4096];
    got = read(fd, part, sizeof part);
    if (got < 0) return err_set(err, "%s cannot be read: %s", name, strerror(errno));
    if (got && !buffer_append(to, slice_of(part, (size_t)got))) return err_set(err, "%s is too large", name);
  }
  if (buffer_size(to) == 0) return err_set(err, "%s is empty", name);
  return true;
}

/* The file's bytes and a zero byte. */
static bool tlsfile_read(const char *path, size_t most, const char *name, struct buffer *to, struct err *err) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  buffer_init(to, 0);
  if (fd < 0) return err_set(err, "%s cannot be opened: %s", name, strerror(errno));
  bool ok = fstat(fd, &st) == 0;
  if (ok && S_ISDIR(st.st_mode)) ok = err_set(err, "%s is a directory: the path of a file is wanted", name);
  else ok = tlsfile_read_all(fd, most, name, to, err);
  close(fd);
  return ok && buffer_append(to, slice_of("", 1));
}

/* PEM with a zero byte at its end, as mbedTLS wants it. */
static bool tlsfile_pem(const char *option, const char *given, size_t most, char *name, struct buffer *to,
                        struct err *err) {
  tlsfile_name(option, given, name, TLSFILE_NAME_MAX);
  if (tlsfile_is_text(given)) {
    buffer_init(to, BUFFER_MAX);
    return buffer_append(to, slice_of(given, strlen(given) + 1));
  }
  if (!given[0]) return err_set(err, "%s is an empty text: the path of a file, or PEM, is wanted", option);
  if (!tlsfile_read(given, most, name, to, err)) return false;
  if (tlsfile_is_text((const char *)buffer_slice(to).data)) return true;
  return err_set(err, "%s is not PEM: there is no line that begins with -----BEGIN", name);
}

static bool tlsfile_lacks(const struct buffer *b, const char *what, const char *name, struct err *err) {
  if (strstr((const char *)buffer_slice(b).data, what)) return false;
  return !err_set(err, "%s is PEM, but holds no -----BEGIN ...%s-----", name, what);
}

static bool tlsfile_parse_certificates(mbedtls_x509_crt *to, const struct buffer *pem, const char *name,
                                       struct err *err) {
  struct slice text = buffer_slice(pem);
  if (tlsfile_lacks(pem, "CERTIFICATE", name, err)) return false;
  int result = mbedtls_x509_crt_parse(to, text.data, text.size);
  if (result == 0) return true;
  if (result > 0) return err_set(err, "%s: %d of its certificates cannot be read", name, result);
  return err_set(err, "%s: no certificate in it can be read: %s", name, tlstext_error(result));
}

bool tlsfile_certificates(mbedtls_x509_crt *to, const char *option, const char *given, size_t most, struct err *err) {
  char name[TLSFILE_NAME_MAX];
  struct buffer pem = { 0 };
  bool ok = tlsfile_pem(option, given, most, name, &pem, err) && tlsfile_parse_certificates(to, &pem, name, err);
  buffer_fini(&pem);
  return ok;
}

bool tlsfile_crl(mbedtls_x509_crl *to, const char *option, const char *given, size_t most, struct err *err) {
  char name[TLSFILE_NAME_MAX];
  struct buffer pem = { 0 };
  bool ok = tlsfile_pem(option, given, most, name, &pem, err) && !tlsfile_lacks(&pem, "X509 CRL", name, err);
  if (ok) {
    struct slice text = buffer_slice(&pem);
    int result = mbedtls_x509_crl_parse(to, text.data, text.size);
    if (result) ok = err_set(err, "%s: no list of revoked certificates can be read: %s", name, tlstext_error(result));
  }
  buffer_fini(&pem);
  return ok;
}

static int tlsfile_parse_key(mbedtls_pk_context *to, struct slice text, const char *passphrase,
                             struct tlsrandom *random) {
  const unsigned char *word = (const unsigned char *)passphrase;
  size_t size = passphrase ? strlen(passphrase) : 0;
#if MBEDTLS_VERSION_MAJOR < 3
  (void)random;
  return mbedtls_pk_parse_key(to, text.data, text.size, word, size);
#else
  return mbedtls_pk_parse_key(to, text.data, text.size, word, size, tlsrandom_draw, random);
#endif
}

static bool tlsfile_key_fault(int result, const char *name, const char *passphrase, bool encrypted, struct err *err) {
  if (result == MBEDTLS_ERR_PK_PASSWORD_REQUIRED) {
    return err_set(err, "%s is encrypted: tls.passphrase is needed", name);
  }
  if (result == MBEDTLS_ERR_PK_PASSWORD_MISMATCH) {
    return err_set(err, "%s: tls.passphrase is not the one that it is encrypted with", name);
  }
  if (encrypted) {
    return err_set(err,
                   "%s is encrypted in a way that mbedTLS cannot undo%s: openssl pkey -traditional rewrites it (%s)",
                   name, passphrase ? "" : ", and there is no tls.passphrase", tlstext_error(result));
  }
  return err_set(err, "%s: no private key can be read: %s", name, tlstext_error(result));
}

bool tlsfile_key(mbedtls_pk_context *to, const char *option, const char *given, const char *passphrase, size_t most,
                 struct tlsrandom *random, struct err *err) {
  char name[TLSFILE_NAME_MAX];
  struct buffer pem = { 0 };
  bool ok = tlsfile_pem(option, given, most, name, &pem, err) && !tlsfile_lacks(&pem, "PRIVATE KEY", name, err);
  if (ok) {
    struct slice text = buffer_slice(&pem);
    int result = tlsfile_parse_key(to, text, passphrase, random);
    bool encrypted = strstr((const char *)text.data, "ENCRYPTED") != NULL;
    if (result) ok = tlsfile_key_fault(result, name, passphrase, encrypted, err);
  }
  buffer_fini(&pem);
  return ok;
}

bool tlsfile_system(mbedtls_x509_crt *to, const char **file, struct err *err) {
  static const char *const files[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
    NULL,
  };
  const char *chosen = getenv("SSL_CERT_FILE");
  for (size_t i = 0; !chosen && files[i]; i++) {
    if (access(files[i], R_OK) == 0) chosen = files[i];
  }
  if (!chosen) {
    return err_set(err,
                   "this system has no file of trusted certificates that is known here (%s): give tls.ca, or set "
                   "SSL_CERT_FILE",
                   files[0]);
  }
  /* One that cannot be read of so many keeps nobody from the others. */
  int result = mbedtls_x509_crt_parse_file(to, chosen);
  *file = chosen;
  if (result >= 0 && to->raw.p) return true;
  return err_set(err, "the system's trusted certificates in %s cannot be read: %s", chosen, tlstext_error(result));
}
