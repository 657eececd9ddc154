/* Request targets: those of RFC 9112 3.2 are accepted and no others, and are taken apart where they should be.
 *
 * The grammar is written here a second time, plainly, as nothing is easier to compare with. The first byte of the
 * input chooses the method.
 */

#include "head.h"

enum { LONGEST = 2048 };

static field_t fields[FIELDS];
static const char *const METHODS[] = {"GET", "OPTIONS", "CONNECT", "PURGE"};

/* The rest of the text behind a word in any case of its letters; NULL where it does not begin so. */
static const char *behind(const char *text, const char *word)
{
    for (; *word; word++, text++)
        if ((*text | 0x20) != *word && *text != *word)
            return NULL;
    return text;
}

static int is_port(const char *text, size_t length)
{
    unsigned long number = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || number > 65535)
            return 0;
        number = 10 * number + (unsigned long)(text[i] - '0');
    }
    return number <= 65535;
}

/* uri-host [ ":" port ] without userinfo, ',' or a broken escape. */
static int is_authority(const char *text, size_t length)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+;=";
    static const char hex[] = "0123456789abcdefABCDEF";
    char copy[LONGEST + 1];
    size_t host;
    memcpy(copy, text, length);
    copy[length] = 0;
    if (copy[0] == '[') {
        host = 1 + strspn(copy + 1, "0123456789abcdefABCDEF:.");
        if (host < 3 || copy[host] != ']')
            return 0;
        host++;
    } else {
        host = 0;
        for (;;) {
            host += strspn(copy + host, name);
            if (copy[host] != '%' || strspn(copy + host + 1, hex) < 2)
                break;
            host += 3;
        }
        if (host == 0)
            return 0;
    }
    return host == length || (copy[host] == ':' && is_port(copy + host + 1, length - host - 1));
}

typedef struct {
    int valid;
    span_t authority, path, query; /* from the target's first byte */
} expected_t;

static expected_t expect(const char *method, const char *target)
{
    expected_t found = {0};
    const char *scheme = behind(target, "http://"), *end = target + strlen(target);
    if (scheme == NULL)
        scheme = behind(target, "https://");
    const char *path = target;
    found.valid = target[0] == '/' || (strcmp(target, "*") == 0 && strcmp(method, "OPTIONS") == 0);
    if (scheme != NULL) {
        path = scheme + strcspn(scheme, "/?");
        found.authority = (span_t){(uint32_t)(scheme - target), (uint32_t)(path - scheme)};
        found.valid = is_authority(scheme, found.authority.length);
    }
    if (strcmp(method, "CONNECT") == 0)
        found.valid = 0;
    const char *query = path + strcspn(path, "?");
    found.path = (span_t){(uint32_t)(path - target), (uint32_t)(query - path)};
    if (query < end)
        found.query = (span_t){(uint32_t)(query + 1 - target), (uint32_t)(end - query - 1)};
    return found;
}

static int is_same(span_t found, span_t expected, uint32_t base)
{
    return found.length == expected.length && (found.length == 0 || found.start == base + expected.start);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    const limits_t limits = LIMITS[0];
    head_t head = {.fields = fields};
    char target[LONGEST + 1];
    if (size < 2 || size > LONGEST)
        return 0;
    const char *method = METHODS[input[0] % (sizeof METHODS / sizeof *METHODS)];
    memcpy(target, input + 1, size - 1);
    target[size - 1] = 0;
    for (size_t i = 0; i + 1 < size; i++)
        if (strchr(" \r\n", target[i]) != NULL) /* NUL too: the end of the target or of the line */
            return 0;

    expected_t expected = expect(method, target);
    for (size_t i = 0; i + 1 < size; i++)
        if (target[i] <= 0x20 || target[i] == 0x7f || target[i] == '#')
            expected.valid = 0;
    char *data = malloc(2 * LONGEST + 64);
    int host = expected.valid && expected.authority.length ? (int)expected.authority.length : 1;
    int length = sprintf(data, "%s %s HTTP/1.1\r\nHost: %.*s\r\n\r\n", method, target, host,
                         expected.authority.length ? target + expected.authority.start : "a");
    data = realloc(data, (size_t)length);
    parses++;
    PARSER(reset_head)(&head);
    int verdict = PARSER(parse_head)(data, (size_t)length, &limits, &head);
    REQUIRE((verdict == SAYS(DONE)) == expected.valid);
    REQUIRE(verdict != SAYS(MORE));
    if (verdict == SAYS(DONE)) {
        check_head(data, (size_t)length, &head, &limits);
        REQUIRE(head.target.length == size - 1);
        REQUIRE(is_same(head.authority, expected.authority, head.target.start));
        REQUIRE(is_same(head.path, expected.path, head.target.start));
        REQUIRE(is_same(head.query, expected.query, head.target.start));
    }
    free(data);
    return 0;
}
