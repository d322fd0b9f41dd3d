/* The throw-away PKI, held against mbedTLS's own verification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <mbedtls/pem.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <string.h>

#include "net/evnet.h"
#include "net/pki.h"

static uint32_t pki_verdict(struct pki *p, enum pki_role role, enum pki_kind kind, const char *host) {
  mbedtls_x509_crt ca, crt;
  mbedtls_x509_crl crl;
  uint32_t flags = 0;
  const char *texts[] = { pki_ca(p), pki_pair(p, role, kind).certificate, pki_crl(p) };
  mbedtls_x509_crt_init(&ca);
  mbedtls_x509_crt_init(&crt);
  mbedtls_x509_crl_init(&crl);
  assert_int_equal(mbedtls_x509_crt_parse(&ca, (const unsigned char *)texts[0], strlen(texts[0]) + 1), 0);
  assert_int_equal(mbedtls_x509_crt_parse(&crt, (const unsigned char *)texts[1], strlen(texts[1]) + 1), 0);
  assert_int_equal(mbedtls_x509_crl_parse(&crl, (const unsigned char *)texts[2], strlen(texts[2]) + 1), 0);
  mbedtls_x509_crt_verify(&crt, &ca, &crl, host, &flags, NULL, NULL);
  mbedtls_x509_crt_free(&ca);
  mbedtls_x509_crt_free(&crt);
  mbedtls_x509_crl_free(&crl);
  return flags;
}

static void test_each_kind_has_its_fault(void **state) {
  static const uint32_t flags[PKI_KINDS] = {
    [PKI_EXPIRED] = MBEDTLS_X509_BADCERT_EXPIRED,
    [PKI_NOT_YET_VALID] = MBEDTLS_X509_BADCERT_FUTURE,
    [PKI_WRONG_HOST] = MBEDTLS_X509_BADCERT_CN_MISMATCH,
    [PKI_UNTRUSTED] = MBEDTLS_X509_BADCERT_NOT_TRUSTED,
    [PKI_SELF_SIGNED] = MBEDTLS_X509_BADCERT_NOT_TRUSTED,
    [PKI_REVOKED] = MBEDTLS_X509_BADCERT_REVOKED,
    [PKI_WEAK] = MBEDTLS_X509_BADCERT_BAD_MD,
  };
  struct net *n = evnet_new(NULL);
  struct pki *p = pki_new(n, NULL, NULL);
  (void)state;
  for (int kind = 0; kind < PKI_KINDS; kind++) {
    assert_int_equal(pki_verdict(p, PKI_SERVER, (enum pki_kind)kind, "localhost"), flags[kind]);
    bool of_hosts = kind == PKI_WRONG_HOST;
    assert_int_equal(pki_verdict(p, PKI_CLIENT, (enum pki_kind)kind, NULL), of_hosts ? 0 : flags[kind]);
    assert_int_equal(pki_kind_of(pki_kind_name((enum pki_kind)kind)), kind);
  }
  assert_int_equal(pki_kind_of("stale"), PKI_KINDS);
  pki_free(p);
  net_free(n);
}

static void test_names(void **state) {
  static const char *const more[] = { "broker.example", "10.1.2.3", NULL }, *const bad[] = { "a b", NULL };
  struct err err;
  struct net *n = evnet_new(NULL);
  struct pki *p = pki_new(n, more, NULL);
  (void)state;
  assert_int_equal(pki_verdict(p, PKI_SERVER, PKI_GOOD, "broker.example"), 0);
  assert_int_equal(pki_verdict(p, PKI_SERVER, PKI_GOOD, "localhost"), 0);
  assert_int_equal(pki_verdict(p, PKI_SERVER, PKI_GOOD, "other.example"), MBEDTLS_X509_BADCERT_CN_MISMATCH);
  pki_free(p);
  assert_null(pki_new(n, bad, &err));
  assert_non_null(strstr(err.text, "\"a b\" is no host name"));
  net_free(n);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_each_kind_has_its_fault),
    cmocka_unit_test(test_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
