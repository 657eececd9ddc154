/* Chunked bodies: however the bytes arrive, the same body comes of them and ends at the same byte. */

#include "parser.h"

typedef struct {
    int verdict;
    size_t used, length;
    char *body; /* of the same size as the input */
    decoder_t decoder;
} outcome_t;

static void decode(arrival_t arrival, const limits_t *limits, outcome_t *outcome)
{
    const char *body = NULL;
    size_t used, length = 0;
    outcome->verdict = SAYS(MORE);
    outcome->used = outcome->length = 0;
    PARSER(reset_chunks)(&outcome->decoder);
    while (outcome->verdict == SAYS(DATA) || (outcome->verdict == SAYS(MORE) && outcome->used < arrival.size)) {
        if (outcome->verdict == SAYS(MORE))
            arrive(&arrival);
        const char *data = arrival.data + outcome->used;
        size_t size = arrival.there - outcome->used;
        parses++;
        outcome->verdict = PARSER(decode_chunks)(&outcome->decoder, data, size, limits, &used, &body, &length);
        REQUIRE(used <= size && (used > 0 || size == 0));
        REQUIRE(outcome->verdict != SAYS(MORE) || used == size);
        if (outcome->verdict == SAYS(DATA)) {
            REQUIRE(length > 0 && body >= data && body + length == data + used);
            memcpy(outcome->body + outcome->length, body, length);
            outcome->length += length;
        }
        outcome->used += used;
    }
    end_arrival(&arrival);
    REQUIRE(outcome->decoder.trailer_lines <= limits->fields + 1);
    REQUIRE(outcome->decoder.trailer_bytes <= limits->head + 1);
}

static void require_same_body(const outcome_t *one, const outcome_t *other)
{
    REQUIRE(one->verdict == other->verdict);
    REQUIRE(one->length == other->length && memcmp(one->body, other->body, one->length) == 0);
}

/* The body as one chunk is read as the same body. */
static void check_again(const outcome_t *whole, const limits_t *limits)
{
    static const uint8_t at_once[STEPS];
    char *encoded = malloc(whole->length + 64);
    outcome_t again = {.body = malloc(whole->length + 64)};
    size_t size = 0;
    if (whole->length > 0) {
        size = (size_t)sprintf(encoded, "%zx\r\n", whole->length);
        memcpy(encoded + size, whole->body, whole->length);
        size += whole->length;
        memcpy(encoded + size, "\r\n", 2);
        size += 2;
    }
    memcpy(encoded + size, "0\r\n\r\n", 5);
    size += 5;
    if (limits->head >= 2 && limits->field >= 2) { /* room for the end of the trailer section */
        decode((arrival_t){at_once, encoded, size, 0, 0}, limits, &again);
        require_same_body(whole, &again);
        REQUIRE(again.used == size);
    }
    free(encoded);
    free(again.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static const uint8_t at_once[STEPS];
    if (size <= CONTROLS)
        return 0;
    const char *data = (const char *)input + CONTROLS;
    size -= CONTROLS;
    const limits_t limits = limits_of(input);
    outcome_t whole = {.body = malloc(size)}, pieces = {.body = malloc(size)};
    decode((arrival_t){at_once, data, size, 0, 0}, &limits, &whole);
    decode((arrival_t){input + 2, data, size, 0, 0}, &limits, &pieces);
    require_same_body(&whole, &pieces);
    REQUIRE(whole.used == pieces.used);
    if (whole.verdict == SAYS(DONE)) {
        REQUIRE(whole.decoder.total == whole.length);
        check_again(&whole, &limits);
    }
    free(whole.body);
    free(pieces.body);
    return 0;
}
