#include "tests/unit/driver/capi_in_c.h"

_Static_assert(sizeof(struct esplanade_sa) == 192, "C and C++ see the same structure");
_Static_assert(sizeof(struct esplanade_completion) == 88, "C and C++ see the same structure");

static const uint8_t enc_key[24] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x23, 0x45, 0x67, 0x89,
                                    0xab, 0xcd, 0xef, 0x01, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23};
static const uint8_t auth_key[20] = {0xa0, 0xa1, 0xa2};

int install_from_c(esplanade_card *card, uint8_t direction, uint32_t spi, uint32_t *index) {
  struct esplanade_sa sa;
  esplanade_sa_init(&sa);
  sa.direction = direction;
  sa.spi = spi;
  sa.enc_key = enc_key;
  sa.enc_key_len = sizeof enc_key;
  sa.auth_key = auth_key;
  sa.auth_key_len = sizeof auth_key;
  if (esplanade_address_parse("192.0.2.1", &sa.src) != ESPLANADE_OK || esplanade_address_parse("192.0.2.2", &sa.dst) != ESPLANADE_OK) return -1;
  return esplanade_sa_install(card, &sa, index);
}
