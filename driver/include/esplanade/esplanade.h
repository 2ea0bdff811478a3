/* C API of libesplanade: the host side of an esp_card, a card or its simulation, for programs in C and for bindings of other languages. It wraps the C++ API
   one to one; docs/driver.md tells what it leaves out.

   Errors. Functions that return int give ESPLANADE_OK or a value of enum esplanade_error; nothing was changed then unless stated. Output parameters are
   written on success only, but handles, which become NULL on failure. NULL handles and pointers, lengths without octets and values out of range are
   ESPLANADE_E_ARGUMENT, never a crash. Closing NULL does nothing. A handle that was closed must not be used again.

   Threads. A card and the functions that take it are used by one thread at a time; so is each queue. Different queues of a card may be used by
   different threads at once, and beside the card. esplanade_queue_open, esplanade_queue_open_all and esplanade_queue_close count as functions of the card.
   Nothing is called from a thread of the library's own: callbacks run inside the function that they were given to.

   Keys are read while esplanade_sa_install runs; the library's copies are wiped before it returns. The caller wipes its own, with esplanade_wipe for instance.

   Numbers are in host byte order, addresses and packets in network order. The layout of the structures is part of the ABI: what is added later takes
   the place of `reserved`, which callers leave 0. */
#ifndef ESPLANADE_ESPLANADE_H
#define ESPLANADE_ESPLANADE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ESPLANADE_API __attribute__((visibility("default")))
#else
#define ESPLANADE_API
#endif

/* What went wrong. From 1 on the kinds of the C++ API (esplanade::Errc), in their order. */
enum esplanade_error {
  ESPLANADE_OK = 0,
  ESPLANADE_E_TRUNCATED = 1,          /* input ends before the field that was being read */
  ESPLANADE_E_MALFORMED = 2,          /* an impossible value; from a queue: the card wrote nonsense and must be reset */
  ESPLANADE_E_BAD_LENGTH = 3,         /* a length that does not fit */
  ESPLANADE_E_UNSUPPORTED = 4,        /* well formed, but not done by this card */
  ESPLANADE_E_BAD_CONFIG = 5,         /* options or parameters that make no sense */
  ESPLANADE_E_IO = 6,                 /* the operating system or XRT said no */
  ESPLANADE_E_PERMISSION = 7,         /* privilege is missing */
  ESPLANADE_E_NO_CARD = 8,            /* no such card, or what it needs is not installed */
  ESPLANADE_E_DEVICE_LOST = 9,        /* the card or its simulator stopped answering: close and open it again */
  ESPLANADE_E_TIMEOUT = 10,           /* no answer in the time given */
  ESPLANADE_E_RING_FULL = 11,         /* poll the queue first */
  ESPLANADE_E_TABLE_FULL = 12,        /* no free SA entry, or no memory window */
  ESPLANADE_E_UNKNOWN_SPI = 13,       /* no such SA */
  ESPLANADE_E_REPLAYED = 14,
  ESPLANADE_E_BAD_ICV = 15,
  ESPLANADE_E_BAD_PADDING = 16,
  ESPLANADE_E_SEQ_OVERFLOW = 17,
  ESPLANADE_E_DUMMY = 18,
  ESPLANADE_E_WEAK_KEY = 19,          /* weak, semi-weak or degenerate DES key */
  ESPLANADE_E_EXPIRED = 20,
  ESPLANADE_E_STATE = 21,             /* the call does not fit the state: open twice, called from inside a callback, a queue that the card stopped */
  ESPLANADE_E_FRAGMENT = 22,
  ESPLANADE_E_WRONG_PROTOCOL = 23,
  ESPLANADE_E_WRONG_ADDRESS = 24,
  ESPLANADE_E_WRONG_DIRECTION = 25,
  ESPLANADE_E_BAD_NEXT_HEADER = 26,
  ESPLANADE_E_BAD_KE = 27,
  ESPLANADE_E_BAD_ID = 28,
  ESPLANADE_E_BAD_CERTIFICATE = 29,
  ESPLANADE_E_UNKNOWN_AUTHORITY = 30,
  ESPLANADE_E_BAD_SIGNATURE = 31,
  ESPLANADE_E_BAD_AUTH = 32,
  ESPLANADE_E_NO_ROOM = 33,
  ESPLANADE_E_BAD_INNER = 34,
  /* Of this API alone. */
  ESPLANADE_E_ARGUMENT = 128,         /* NULL, or a value that no card takes */
  ESPLANADE_E_NO_MEMORY = 129,
  ESPLANADE_E_UNEXPECTED = 130        /* a C++ exception; esplanade_last_error has its text */
};

/* How a packet ended: `status` of a completion. As card::Status; docs/registers.md has each. */
enum esplanade_status {
  ESPLANADE_STATUS_OK = 0,
  ESPLANADE_STATUS_BAD_DESCRIPTOR = 1,
  ESPLANADE_STATUS_BAD_ADDRESS = 2,
  ESPLANADE_STATUS_BAD_ALIGN = 3,
  ESPLANADE_STATUS_BAD_LENGTH = 4,
  ESPLANADE_STATUS_DST_TOO_SMALL = 5,
  ESPLANADE_STATUS_BUS_ERROR = 6,
  ESPLANADE_STATUS_NO_SA = 7,
  ESPLANADE_STATUS_WRONG_DIRECTION = 8,
  ESPLANADE_STATUS_BAD_HEADER = 9,
  ESPLANADE_STATUS_FRAGMENT = 10,
  ESPLANADE_STATUS_WRONG_PROTOCOL = 11,
  ESPLANADE_STATUS_WRONG_ADDRESS = 12,
  ESPLANADE_STATUS_BAD_ESP_LENGTH = 13,
  ESPLANADE_STATUS_REPLAY = 14,
  ESPLANADE_STATUS_BAD_ICV = 15,
  ESPLANADE_STATUS_BAD_PADDING = 16,
  ESPLANADE_STATUS_BAD_NEXT_HEADER = 17,
  ESPLANADE_STATUS_DUMMY = 18,
  ESPLANADE_STATUS_SEQ_OVERFLOW = 19,
  ESPLANADE_STATUS_EXPIRED = 20,
  ESPLANADE_STATUS_NO_SEED = 21,
  ESPLANADE_STATUS_HOST_IV_REFUSED = 22,
  ESPLANADE_STATUS_UNSUPPORTED = 23,
  ESPLANADE_STATUS_POISONED = 24,
  ESPLANADE_STATUS_BAD_INNER = 26
};

/* `type` of an event. As card::EventType. */
enum esplanade_event_type {
  ESPLANADE_EVENT_SOFT_BYTES = 1,
  ESPLANADE_EVENT_SOFT_PACKETS = 2,
  ESPLANADE_EVENT_SOFT_SECONDS = 3,
  ESPLANADE_EVENT_HARD_BYTES = 4,     /* the hard ones close the SA */
  ESPLANADE_EVENT_HARD_PACKETS = 5,
  ESPLANADE_EVENT_HARD_SECONDS = 6,
  ESPLANADE_EVENT_SEQ_SOON = 7,       /* outbound, no ESN: 2^32 - 2^28 passed */
  ESPLANADE_EVENT_SEQ_OVERFLOW = 8,   /* no number is left; the SA is closed */
  ESPLANADE_EVENT_ERROR = 9           /* `arg` has bits of ERROR_CAUSE (docs/registers.md) */
};

enum esplanade_protocol { ESPLANADE_ESP = 50, ESPLANADE_AH = 51 };
enum esplanade_mode { ESPLANADE_TUNNEL = 0, ESPLANADE_TRANSPORT = 1 };
enum esplanade_direction { ESPLANADE_INBOUND = 0, ESPLANADE_OUTBOUND = 1 };
enum esplanade_cipher { ESPLANADE_CIPHER_NULL = 0, ESPLANADE_CIPHER_DES_CBC = 1, ESPLANADE_CIPHER_3DES_CBC = 2 };   /* keys of 0, 8, 24 octets */
enum esplanade_auth { ESPLANADE_AUTH_NONE = 0, ESPLANADE_AUTH_HMAC_MD5_96 = 1, ESPLANADE_AUTH_HMAC_SHA1_96 = 2 };   /* keys of 0, 16, 20 octets */
enum esplanade_df { ESPLANADE_DF_COPY = 0, ESPLANADE_DF_CLEAR = 1, ESPLANADE_DF_SET = 2 };                          /* of the outer IPv4 header */
enum esplanade_op { ESPLANADE_OP_ENCAP = 1, ESPLANADE_OP_DECAP = 2 };

#define ESPLANADE_NO_SA 0xffffffffu /* sa_index of a completion or event that belongs to none */

typedef struct esplanade_card esplanade_card;
typedef struct esplanade_queue esplanade_queue;

struct esplanade_address {
  uint8_t version;    /* 4 or 6 */
  uint8_t reserved[3];
  uint8_t octets[16]; /* network order; of IPv4 the first four */
};

/* Limits; 0 is none. */
struct esplanade_lifetime {
  uint64_t bytes, packets;
  uint32_t seconds;
  uint32_t reserved;
};

/* A security association. esplanade_sa_init gives the defaults in brackets; the rest is 0 then. Flags: 0 or 1. */
struct esplanade_sa {
  uint32_t spi;            /* 256 and up */
  uint8_t protocol;        /* enum esplanade_protocol [ESP] */
  uint8_t mode;            /* enum esplanade_mode [tunnel] */
  uint8_t direction;       /* enum esplanade_direction [outbound] */
  uint8_t cipher;          /* enum esplanade_cipher [3DES-CBC] */
  uint8_t auth;            /* enum esplanade_auth [HMAC-SHA1-96] */
  uint8_t df;              /* enum esplanade_df [copy] */
  uint8_t ttl;             /* of the outer header [64] */
  uint8_t natt;            /* flag: ESP in UDP, RFC 3948; IPv4 only */
  uint16_t natt_src_port;  /* [4500] */
  uint16_t natt_dst_port;  /* [4500] */
  uint16_t replay_window;  /* inbound: packets, a multiple of 32 up to 1024, 0 switches the check off [64] */
  uint16_t ip_id;          /* outbound IPv4: identification of the next outer header */
  int16_t dscp;            /* of the outer header, 0 to 63; -1 copies it from the inner one [-1] */
  uint8_t ecn_copy;        /* flag: RFC 4301 s5.1.2.1; 0: outer ECN 00 [1] */
  uint8_t esn;             /* flag: extended sequence numbers */
  uint8_t check_outer;     /* flag, inbound tunnel: outer addresses must be src and dst [1] */
  uint8_t inner_v4;        /* flags, inbound tunnel: families of inner packets that are let through [1] */
  uint8_t inner_v6;
  uint8_t reserved0[5];
  uint64_t seq;            /* outbound: last number used; inbound: highest seen */
  const uint8_t *enc_key;  /* NULL with length 0 where the cipher takes none */
  size_t enc_key_len;      /* octets */
  const uint8_t *auth_key;
  size_t auth_key_len;
  struct esplanade_address src; /* of the outer header; in transport mode the packet's own */
  struct esplanade_address dst;
  struct esplanade_lifetime soft;
  struct esplanade_lifetime hard;
  uint64_t reserved[4];
};

/* What the card says of itself. */
struct esplanade_info {
  uint32_t format_version, build;
  uint32_t caps;           /* register CAPS: docs/registers.md */
  uint32_t lanes, queues, slots, sa_entries;
  uint32_t max_packet;     /* octets */
  uint32_t replay_max;     /* packets */
  uint32_t clock_hz;
  uint8_t simulated;
  uint8_t reserved[23];
};

/* State of an SA without its keys. */
struct esplanade_sa_state {
  uint32_t spi;
  uint8_t direction, cipher, auth;
  uint8_t expired;         /* a hard limit closed it */
  uint8_t poisoned;        /* its state failed the card's parity check */
  uint8_t reserved0[3];
  uint32_t age_seconds;
  uint64_t seq;            /* outbound: last number used; inbound: highest authenticated */
  uint64_t packets, bytes;
  /* Packets dropped, by reason. */
  uint32_t replay_drops, icv_drops, padding_drops, next_header_drops, inner_drops, protocol_drops, address_drops, expired_drops, seq_drops, length_drops,
      other_drops;
  uint32_t reserved[9];
};

struct esplanade_queue_options {
  uint32_t log2_size;      /* entries of both rings, 1 to 15; half of them may be in flight; 0: 8 */
  uint32_t slot_bytes;     /* room for a packet and for its result; 0: the card's max_packet */
  uint8_t any_order;       /* flag: completions in order only within each SA, so that a long packet holds nobody up */
  uint8_t reserved[23];
};

/* How one packet ended. */
struct esplanade_completion {
  uint64_t cookie;         /* as submitted */
  uint64_t seq;            /* sequence number */
  uint32_t spi;
  uint32_t sa_index;       /* ESPLANADE_NO_SA: none was found */
  uint8_t op;              /* enum esplanade_op */
  uint8_t status;          /* enum esplanade_status */
  uint8_t next_header;     /* decap: 4 or 41 in tunnel mode, else the transport protocol */
  uint8_t reserved0[5];
  uint32_t cycles[5];      /* of the card's clock, low 32 bits: fetched, started, ciphered, hashed, done */
  uint32_t reserved1;
  const uint8_t *packet;   /* a whole IP packet, valid inside the callback only; NULL unless status is ESPLANADE_STATUS_OK */
  size_t packet_len;       /* octets */
  uint64_t number;         /* of the packet in its queue, from 0; for esplanade_queue_note_sent */
  uint64_t reserved;
};

struct esplanade_event {
  uint32_t type;           /* enum esplanade_event_type */
  uint32_t sa_index;       /* ESPLANADE_NO_SA: none */
  uint32_t spi;
  uint32_t arg;
  uint64_t cycle;          /* of the card's clock */
};

/* ---- Library ---- */

/* Version of the library, "MAJOR.MINOR.PATCH". */
ESPLANADE_API const char *esplanade_version(void);
/* What a value of enum esplanade_error means, in English, for every int; the text lives as long as the program. */
ESPLANADE_API const char *esplanade_strerror(int error);
/* One sentence on the last call of this thread that failed: what, where, why. "" when none did. Never holds key material. Valid until the thread's next call. */
ESPLANADE_API const char *esplanade_last_error(void);
/* Names as docs/registers.md has them, such as "BadIcv" and "SoftBytes"; "?" for others. */
ESPLANADE_API const char *esplanade_status_name(int status);
ESPLANADE_API const char *esplanade_event_name(int type);
/* Overwrites `len` octets in a way that the compiler keeps; for keys. */
ESPLANADE_API void esplanade_wipe(void *octets, size_t len);
/* "192.0.2.1" or "2001:db8::1". ESPLANADE_E_MALFORMED and the like for other text. */
ESPLANADE_API int esplanade_address_parse(const char *text, struct esplanade_address *out);

/* ---- Card ---- */

/* Opens a card, loads the .xclbin, resets the card and clears its SA table.
   `card`: "sim", the simulated card, which needs no preparation (the library sets XCL_EMULATION_MODE=hw_emu and what else XRT wants in this process's
   environment, so call it before other threads read that; up to eight a process, each opened anew); else an XRT device, by index ("0") or PCIe address ("0000:3b:00.1"). With
   XCL_EMULATION_MODE=hw_emu in the environment index "0" is XRT's emulated device, as for every XRT program. Standard output and error are moved aside while a
   card is opened and closed, for XRT talks there.
   `xclbin`: path; NULL: ESPLANADE_XCLBIN of the environment, else the one installed or built with the program or the library.
   Errors: ESPLANADE_E_NO_CARD (what is missing), _PERMISSION, _UNSUPPORTED (a card of another format version), _DEVICE_LOST, _STATE (eight simulated cards are open). */
ESPLANADE_API int esplanade_card_open(const char *card, const char *xclbin, esplanade_card **out);
/* Closes the card. Queues that are still open stay usable; the card itself is let go with the last of them. */
ESPLANADE_API void esplanade_card_close(esplanade_card *card);
ESPLANADE_API int esplanade_card_info(const esplanade_card *card, struct esplanade_info *out);
/* Calls `each` for every event since the last call, oldest first. `each` may call what it likes.
   Errors: ESPLANADE_E_MALFORMED, _DEVICE_LOST; events before the bad one were told. */
ESPLANADE_API int esplanade_card_events(esplanade_card *card, void (*each)(void *context, const struct esplanade_event *event), void *context);

/* ---- Security associations ---- */

/* Fills in the defaults. */
ESPLANADE_API void esplanade_sa_init(struct esplanade_sa *sa);
/* An SPI for a new inbound SA; its place in the table stays reserved until it is installed or released. ESPLANADE_E_TABLE_FULL. */
ESPLANADE_API int esplanade_spi_allocate(esplanade_card *card, uint32_t *spi);
/* Gives back an SPI that was not installed; no error for one that was not reserved. */
ESPLANADE_API int esplanade_spi_release(esplanade_card *card, uint32_t spi);
/* Checks and installs an SA; `index` names it from now on. Errors: ESPLANADE_E_BAD_CONFIG, _WEAK_KEY, _UNSUPPORTED (names what the card lacks),
   _TABLE_FULL (no entry, or an inbound SPI's is taken). */
ESPLANADE_API int esplanade_sa_install(esplanade_card *card, const struct esplanade_sa *sa, uint32_t *index);
/* Gives an SA new addresses, ports, outer header fields and lifetimes; keys, numbers, window and counters stay, and the keys of `sa` are not looked at. SPI
   and direction are those of the SA. Errors: ESPLANADE_E_UNKNOWN_SPI, _BAD_CONFIG, _UNSUPPORTED (the card lacks CAPS.SA_UPDATE). */
ESPLANADE_API int esplanade_sa_update(esplanade_card *card, uint32_t index, const struct esplanade_sa *sa);
/* Removes an SA; its keys are gone when this returns. ESPLANADE_E_UNKNOWN_SPI; after ESPLANADE_E_TIMEOUT it may be called again. */
ESPLANADE_API int esplanade_sa_remove(esplanade_card *card, uint32_t index);
/* ESPLANADE_E_UNKNOWN_SPI. */
ESPLANADE_API int esplanade_sa_view(esplanade_card *card, uint32_t index, struct esplanade_sa_state *out);

/* ---- Packets ---- */

/* Opens queue `number`, which belongs to lane `number` modulo lanes; `options` NULL: defaults. The packets of an SA keep their order only within one queue. A
   card has room for three separate queues beside the card's own ring: use esplanade_queue_open_all for more.
   Errors: ESPLANADE_E_UNSUPPORTED (no such queue), _BAD_CONFIG, _STATE (it is open), _TABLE_FULL (no memory window). */
ESPLANADE_API int esplanade_queue_open(esplanade_card *card, uint32_t number, const struct esplanade_queue_options *options, esplanade_queue **out);
/* Opens queues 0 to `count` - 1 in one memory window and writes `count` handles to `out`; all or none. Errors as esplanade_queue_open. */
ESPLANADE_API int esplanade_queue_open_all(esplanade_card *card, uint32_t count, const struct esplanade_queue_options *options, esplanade_queue **out);
/* Lets the card finish what it has (a second at most) and closes the queue; what was not polled is gone. Does nothing when called from
   inside a callback of this queue. */
ESPLANADE_API void esplanade_queue_close(esplanade_queue *queue);
/* Submits a whole IP packet for protection under SA `sa_index`, or a whole outer packet, whose SA the card finds by its SPI. The octets are copied.
   Errors: ESPLANADE_E_RING_FULL (poll first), _BAD_LENGTH (empty, or longer than a slot). An SA that does not exist shows in the completion's status. */
ESPLANADE_API int esplanade_queue_encap(esplanade_queue *queue, uint32_t sa_index, const void *packet, size_t len, uint64_t cookie);
ESPLANADE_API int esplanade_queue_decap(esplanade_queue *queue, const void *packet, size_t len, uint64_t cookie);
/* Hands everything submitted to the card. */
ESPLANADE_API int esplanade_queue_flush(esplanade_queue *queue);
/* Calls `done` for each packet finished since the last call. Waits up to `timeout_ms` milliseconds for the first where packets are in flight; 0 looks once.
   `done` may submit and flush; polling this queue from inside it is ESPLANADE_E_STATE. ESPLANADE_OK when nothing was done in time, too. Errors, after which
   the queue is of no more use: ESPLANADE_E_DEVICE_LOST, _STATE (the card stopped the queue), _MALFORMED, _TIMEOUT (the card hangs). */
ESPLANADE_API int esplanade_queue_poll(esplanade_queue *queue, void (*done)(void *context, const struct esplanade_completion *completion), void *context,
                                       uint32_t timeout_ms);
/* 1 where the driver records this card (ESPLANADE_RECORD, docs/espscope.md), else 0, as for NULL. The two below put into such a recording what the program does around
   the card; without one they do nothing, so nobody need look at the clock for them. */
ESPLANADE_API int esplanade_card_recording(const esplanade_card *card);
/* The packet that is submitted next to this queue came to the program then: nanoseconds of CLOCK_MONOTONIC, 0 for now. ESPLANADE_E_ARGUMENT: above 2^63 - 1. */
ESPLANADE_API int esplanade_queue_note_arrived(esplanade_queue *queue, uint64_t monotonic_ns);
/* The result of packet `number` of this queue (of its completion) has just gone to where the program sends it. */
ESPLANADE_API int esplanade_queue_note_sent(esplanade_queue *queue, uint64_t number);
/* Packets submitted and not yet polled, and how many of them a queue takes; 0 for NULL. */
ESPLANADE_API size_t esplanade_queue_in_flight(const esplanade_queue *queue);
ESPLANADE_API size_t esplanade_queue_capacity(const esplanade_queue *queue);

#ifdef __cplusplus
}
#endif

#endif
