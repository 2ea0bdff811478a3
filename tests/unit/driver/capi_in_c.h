/* The C API as a C11 compiler sees it. */
#include "esplanade/esplanade.h"

#ifdef __cplusplus
extern "C" {
#endif
/* Installs an SA with test keys, as C programs write it. Returns what the library does. */
int install_from_c(esplanade_card *card, uint8_t direction, uint32_t spi, uint32_t *index);
#ifdef __cplusplus
}
#endif
