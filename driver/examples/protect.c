/* Protects an IP packet with ESP on the card and unprotects it again. Usage: protect_c [CARD [XCLBIN]]; CARD is "sim" (the default), or an XRT device by index
   or PCIe address. Ends with 0 when the packet came back as it was. */
#include <esplanade/esplanade.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keys for this example only. Real ones come from an IKE daemon, and esplanade_wipe() ends them. */
static uint8_t enc_key[24] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x23, 0x45, 0x67, 0x89,
                              0xab, 0xcd, 0xef, 0x01, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23};
static uint8_t auth_key[20] = {0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0xb0, 0xb1, 0xb2, 0xb3};

/* 10.2.0.5 -> 10.1.0.7, UDP port 9 to 9, "hello, card". */
static const uint8_t inner[39] = {0x45, 0x00, 0x00, 0x27, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x66, 0xb7, 10, 2, 0, 5, 10, 1, 0, 7,
                                  0, 9, 0, 9, 0, 19, 0, 0, 'h', 'e', 'l', 'l', 'o', ',', ' ', 'c', 'a', 'r', 'd'};

/* A packet that came back, copied out of the callback. */
struct result {
  int done;
  unsigned status;
  uint64_t seq, number;
  size_t len;
  uint8_t octets[2048];
};

static void check(int error, const char *what) {
  if (error == ESPLANADE_OK) return;
  fprintf(stderr, "%s: %s: %s\n", what, esplanade_strerror(error), esplanade_last_error());
  exit(1);
}

static void keep(void *context, const struct esplanade_completion *c) {
  struct result *out = context;
  out->done = 1;
  out->status = c->status;
  out->seq = c->seq;
  out->number = c->number;
  out->len = c->packet_len <= sizeof out->octets ? c->packet_len : 0;
  if (out->len > 0) memcpy(out->octets, c->packet, out->len);
}

/* Hands the card what was submitted and waits for it. */
static struct result finish(esplanade_queue *queue) {
  struct result out = {0};
  check(esplanade_queue_flush(queue), "flush");
  check(esplanade_queue_poll(queue, keep, &out, 10000), "poll");
  if (!out.done || out.status != ESPLANADE_STATUS_OK) {
    fprintf(stderr, "the packet did not come back: %s\n", out.done ? esplanade_status_name((int)out.status) : "timeout");
    exit(1);
  }
  return out;
}

static void print(const char *what, const uint8_t *octets, size_t len) {
  printf("%s, %zu octets:", what, len);
  for (size_t i = 0; i < len; ++i) printf("%s%02x", i % 32 == 0 ? "\n  " : "", octets[i]);
  printf("\n");
}

int main(int argc, char **argv) {
  esplanade_card *card;
  check(esplanade_card_open(argc > 1 ? argv[1] : "sim", argc > 2 ? argv[2] : NULL, &card), "open");
  struct esplanade_info info;
  check(esplanade_card_info(card, &info), "info");
  printf("esp_card%s: %u lanes, %u SAs, packets to %u octets\n", info.simulated ? " (simulated)" : "", info.lanes, info.sa_entries, info.max_packet);

  /* The two ends of one tunnel, 192.0.2.2 -> 192.0.2.1. The receiver chooses the SPI. */
  struct esplanade_sa sa;
  uint32_t outbound, inbound;
  esplanade_sa_init(&sa);
  sa.enc_key = enc_key;
  sa.enc_key_len = sizeof enc_key;
  sa.auth_key = auth_key;
  sa.auth_key_len = sizeof auth_key;
  check(esplanade_address_parse("192.0.2.2", &sa.src), "source");
  check(esplanade_address_parse("192.0.2.1", &sa.dst), "destination");
  check(esplanade_spi_allocate(card, &sa.spi), "SPI");
  sa.direction = ESPLANADE_INBOUND;
  check(esplanade_sa_install(card, &sa, &inbound), "inbound SA");
  sa.direction = ESPLANADE_OUTBOUND;
  check(esplanade_sa_install(card, &sa, &outbound), "outbound SA");
  esplanade_wipe(enc_key, sizeof enc_key);
  esplanade_wipe(auth_key, sizeof auth_key);

  esplanade_queue *queue;
  check(esplanade_queue_open(card, 0, NULL, &queue), "queue");
  print("packet", inner, sizeof inner);
  check(esplanade_queue_note_arrived(queue, 0), "mark"); /* with ESPLANADE_RECORD=FILE a recording has this moment, and that below */
  check(esplanade_queue_encap(queue, outbound, inner, sizeof inner, 1), "encap");
  const struct result outer = finish(queue);
  print("protected", outer.octets, outer.len);
  check(esplanade_queue_note_sent(queue, outer.number), "mark");
  check(esplanade_queue_decap(queue, outer.octets, outer.len, 2), "decap");
  const struct result back = finish(queue);
  print("unprotected", back.octets, back.len);

  struct esplanade_sa_state state;
  check(esplanade_sa_view(card, inbound, &state), "view");
  printf("inbound SA: sequence number %llu, %llu packets\n", (unsigned long long)state.seq, (unsigned long long)state.packets);
  check(esplanade_sa_remove(card, inbound), "remove");
  check(esplanade_sa_remove(card, outbound), "remove");
  esplanade_queue_close(queue);
  esplanade_card_close(card);
  const int same = back.len == sizeof inner && memcmp(back.octets, inner, sizeof inner) == 0;
  printf("%s\n", same ? "the packet came back as it was" : "the packet CHANGED");
  return same ? 0 : 1;
}
