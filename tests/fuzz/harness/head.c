/* Request heads: however the bytes arrive, the parser says the same. */

#include "head.h"

static field_t of_whole[FIELDS], of_pieces[FIELDS], of_prefix[FIELDS];

static int parse(const char *data, size_t size, const limits_t *limits, head_t *head)
{
    parses++;
    return PARSER(parse_head)(data, size, limits, head);
}

static int parse_whole(const char *data, size_t size, const limits_t *limits, head_t *head)
{
    PARSER(reset_head)(head);
    return parse(data, size, limits, head);
}

static int parse_pieces(arrival_t arrival, const limits_t *limits, head_t *head)
{
    int verdict = SAYS(MORE);
    PARSER(reset_head)(head);
    while (verdict == SAYS(MORE) && arrival.there < arrival.size) {
        arrive(&arrival);
        verdict = parse(arrival.data, arrival.there, limits, head);
    }
    end_arrival(&arrival);
    return verdict;
}

static void require_same(const head_t *one, const head_t *other)
{
    REQUIRE(memcmp(one, other, offsetof(head_t, fields)) == 0);
    REQUIRE(memcmp(one->fields, other->fields, one->field_count * sizeof(field_t)) == 0);
}

/* It is complete with its last byte, and not before. */
static void check_end(const uint8_t *data, const limits_t *limits, const head_t *whole)
{
    static const uint8_t steps[STEPS] = {255, 255, 255, 255, 255, 0};
    head_t prefix = {.fields = of_prefix};
    arrival_t exact = {steps, (const char *)data, whole->length, 0, STEPS - 1};
    arrival_t short_of_one = exact;
    short_of_one.size--;
    REQUIRE(parse_pieces(exact, limits, &prefix) == SAYS(DONE));
    require_same(whole, &prefix);
    REQUIRE(parse_pieces(short_of_one, limits, &prefix) == SAYS(MORE));
}

/* What came before changes nothing: a head that differs from it by a byte says the same as by itself. */
static void check_follower(const uint8_t *steps, const char *data, const limits_t *limits, head_t *before)
{
    static field_t of_follower[FIELDS];
    head_t alone = {.fields = of_follower};
    size_t size = before->length, place = (steps[0] << 8 | steps[1]) % size;
    size_t behind = place + (steps[2] & 1);             /* where it goes on: the byte is replaced, or stays */
    size_t ahead = place + !(steps[2] & 2);             /* and there: another comes, or none */
    char *follower = malloc(size + 1);
    memcpy(follower, data, place);
    follower[place] = (char)steps[3];
    memcpy(follower + ahead, data + behind, size - behind);
    size = ahead + size - behind;

    int verdict = parse_whole(follower, size, limits, &alone);
    PARSER(follow_head)(before, data);
    REQUIRE(parse(follower, size, limits, before) == verdict);
    if (verdict >= SAYS(MORE))
        require_same(&alone, before);
    free(follower);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    head_t whole = {.fields = of_whole}, pieces = {.fields = of_pieces};
    if (size <= CONTROLS)
        return 0;
    const uint8_t *data = input + CONTROLS;
    size -= CONTROLS;
    const limits_t limits = limits_of(input);
    const size_t surplus = (FIELDS - limits.fields) * sizeof(field_t);
    ASAN_POISON_MEMORY_REGION(of_whole + limits.fields, surplus);
    ASAN_POISON_MEMORY_REGION(of_pieces + limits.fields, surplus);

    int verdict = parse_whole((const char *)data, size, &limits, &whole);
    REQUIRE(verdict <= SAYS(DONE));
    REQUIRE(parse_pieces((arrival_t){input + 2, (const char *)data, size, 0, 0}, &limits, &pieces) == verdict);
    if (verdict >= SAYS(MORE))
        require_same(&whole, &pieces);
    if (verdict == SAYS(MORE))
        REQUIRE(size < limits.head && whole.position <= size);
    if (verdict == SAYS(DONE)) {
        check_head((const char *)data, size, &whole, &limits);
        check_end(data, &limits, &whole);
        check_follower(input + 2, (const char *)data, &limits, &whole);
    }

    ASAN_UNPOISON_MEMORY_REGION(of_whole + limits.fields, surplus);
    ASAN_UNPOISON_MEMORY_REGION(of_pieces + limits.fields, surplus);
    return 0;
}
