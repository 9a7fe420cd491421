/* Reads multipart/form-data. Any thread; owns nothing but the iterator it is given.
 *
 * The delimiter between parts contains a CR at its start and nowhere else, as a boundary
 * may have no control characters. So where a comparison fails, what it has passed over
 * is data, and equals the delimiter's beginning: nothing need be kept of the input. */
#include "http/multipart.h"

#include "base/ascii.h"
#include "http/parameter.h"

#include <string.h>
#include <strings.h>

#define TYPE "multipart/form-data"

/* -- The boundary -- */

bool multipart_is_type(const char *type, size_t len)
{
    size_t first;
    parameters_of(type, len, &first);
    return first == sizeof TYPE - 1 && strncasecmp(type, TYPE, first) == 0;
}

static bool is_printable(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] < ' ' || s[i] > '~')
            return false;
    return true;
}

static bool set_boundary(struct multipart *m, const struct parameter *p)
{
    if (p->value_len == 0 || p->value_len > MULTIPART_BOUNDARY_MAX)
        return false;
    memcpy(m->delimiter, "\r\n--", 4);
    size_t len = parameter_copy(p, m->delimiter + 4);
    m->delimiter_len = 4 + len;
    return is_printable(m->delimiter + 4, len) && m->delimiter[3 + len] != ' ';
}

bool multipart_begin(struct multipart *m, const char *type, size_t len)
{
    size_t first;
    struct parameters ps = parameters_of(type, len, &first);
    struct parameter p;
    m->state = MULTIPART_IN_PREAMBLE;
    m->why = NULL;
    m->head_len = 0;
    m->matched = 2; /* the first delimiter may lack the line end before it */
    while (parameter_next(&ps, &p))
        if (parameter_is(&p, "boundary"))
            return set_boundary(m, &p);
    return false;
}

static enum multipart_event fail(struct multipart *m, const char *why)
{
    m->state = MULTIPART_FAILED;
    m->why = why;
    return MULTIPART_MALFORMED;
}

/* -- Data, up to the next delimiter -- */

static void take(const char **in, size_t *len, size_t n)
{
    *in += n;
    *len -= n;
}

static enum multipart_event give(struct multipart_part *part, const char *data,
                                 size_t len)
{
    part->data = data;
    part->data_len = len;
    return MULTIPART_DATA;
}

/* Goes on with a delimiter that earlier input has begun. */
static enum multipart_event match(struct multipart *m, const char **in, size_t *len,
                                  struct multipart_part *part)
{
    size_t n = 0, held = m->matched;
    while (n < *len && held + n < m->delimiter_len && (*in)[n] == m->delimiter[held + n])
        n++;
    take(in, len, n);
    m->matched = held + n;
    if (m->matched == m->delimiter_len) {
        m->matched = 0;
        return MULTIPART_PART_END;
    }
    if (*len == 0)
        return MULTIPART_MORE;
    held = m->matched;
    m->matched = 0;
    return give(part, m->delimiter, held);
}

/* How many bytes at `s` are those that the delimiter begins with. */
static size_t common(const struct multipart *m, const char *s, const char *end)
{
    size_t n = 0;
    while (n < m->delimiter_len && s + n < end && s[n] == m->delimiter[n])
        n++;
    return n;
}

/* MULTIPART_DATA, MULTIPART_MORE, or MULTIPART_PART_END behind a delimiter. */
static enum multipart_event scan(struct multipart *m, const char **in, size_t *len,
                                 struct multipart_part *part)
{
    if (m->matched > 0)
        return match(m, in, len, part);
    const char *start = *in, *end = start + *len, *cr = start;
    while (cr < end && (cr = memchr(cr, '\r', (size_t)(end - cr))) != NULL) {
        size_t n = common(m, cr, end);
        if (n == m->delimiter_len || cr + n == end)
            break;
        cr++;
    }
    size_t data = (size_t)((cr == NULL ? end : cr) - start);
    if (data > 0) {
        take(in, len, data);
        return give(part, start, data);
    }
    if (*len == 0)
        return MULTIPART_MORE;
    m->matched = 1;
    take(in, len, 1);
    return match(m, in, len, part);
}

/* -- The head of a part -- */

/* Takes a line off the head, which ends with CR LF, and its name off the line. */
static bool next_field(const char **at, const char *end, struct parameter *field)
{
    const char *line = *at, *cr = memchr(line, '\r', (size_t)(end - line));
    const char *colon = memchr(line, ':', (size_t)(cr - line));
    *at = cr + 2;
    if (colon == NULL || colon == line)
        return false;
    field->name = line;
    field->name_len = (size_t)(colon - line);
    field->value = colon + 1;
    while (field->value < cr && (*field->value == ' ' || *field->value == '\t'))
        field->value++;
    field->value_len = (size_t)(cr - field->value);
    return true;
}

/* Browsers send a quote as %22 (HTML standard, "multipart/form-data encoding"). */
static size_t restore_quotes(char *s, size_t len)
{
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        bool quote = len - i >= 3 && memcmp(s + i, "%22", 3) == 0;
        s[out++] = quote ? '"' : s[i];
        if (quote)
            i += 2;
    }
    return out;
}

static int hex_digit(char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The value of filename*, UTF-8''caf%C3%A9 (RFC 8187), which RFC 7578 does not want and
 * some programs send. Other character sets stay undecoded. */
static size_t decode_extended(char *s, size_t len)
{
    static const char prefix[] = "utf-8'";
    char *quote = len < sizeof prefix || strncasecmp(s, prefix, sizeof prefix - 1) != 0
                      ? NULL
                      : memchr(s + sizeof prefix - 1, '\'', len - (sizeof prefix - 1));
    if (quote == NULL)
        return len;
    size_t out = 0;
    for (size_t i = (size_t)(quote + 1 - s); i < len; i++) {
        int high = s[i] == '%' && len - i >= 3 ? hex_digit(s[i + 1]) : -1;
        int low = high < 0 ? -1 : hex_digit(s[i + 2]);
        char c = (char)(low < 0 ? s[i] : high << 4 | low);
        if (c != '\0')
            s[out++] = c;
        if (low >= 0)
            i += 2;
    }
    return out;
}

/* Some browsers sent the whole path. "." and ".." are no names. */
static void set_file(struct multipart_part *part, const char *file, size_t len)
{
    for (size_t i = len; i > 0; i--) {
        if (file[i - 1] == '/' || file[i - 1] == '\\') {
            file += i;
            len -= i;
            break;
        }
    }
    bool dots = (len == 1 && file[0] == '.') || (len == 2 && memcmp(file, "..", 2) == 0);
    part->file = dots ? "_" : file;
    part->file_len = dots ? 1 : len;
}

/* Values are decoded where they are, in the iterator's memory. */
static bool read_disposition(struct multipart_part *part, const struct parameter *field)
{
    size_t first;
    struct parameters ps = parameters_of(field->value, field->value_len, &first);
    if (first != 9 || strncasecmp(field->value, "form-data", first) != 0)
        return false;
    struct parameter p;
    while (parameter_next(&ps, &p)) {
        char *value = (char *)p.value;
        size_t len = parameter_copy(&p, value);
        if (parameter_is(&p, "name")) {
            part->name = value;
            part->name_len = restore_quotes(value, len);
        } else if (parameter_is(&p, "filename")) {
            set_file(part, value, restore_quotes(value, len));
        } else if (parameter_is(&p, "filename*") && part->file == NULL) {
            set_file(part, value, decode_extended(value, len));
        }
    }
    return !ps.malformed && part->name != NULL;
}

static bool has_name(const struct parameter *field, const char *name)
{
    return field->name_len == strlen(name) &&
           strncasecmp(field->name, name, field->name_len) == 0;
}

/* Folded lines are made one; other control characters may not be. */
static bool unfold(char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool line_end = s[i] == '\r' && i + 1 < len && s[i + 1] == '\n';
        if (line_end && i + 2 < len && (s[i + 2] == ' ' || s[i + 2] == '\t'))
            s[i] = s[i + 1] = ' ';
        else if (line_end)
            i++;
        else if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 127)
            return false;
    }
    return true;
}

static enum multipart_event read_head(struct multipart *m, struct multipart_part *part)
{
    const char *at = m->head, *end = at + m->head_len - 2; /* without the empty line */
    struct parameter field;
    *part = (struct multipart_part){.type = ""};
    if (!unfold(m->head, m->head_len))
        return fail(m, "a part has a control character in its header");
    while (at < end) {
        if (!next_field(&at, end, &field))
            return fail(m, "a part has a header line without a name");
        if (has_name(&field, "content-disposition") && part->name == NULL &&
            !read_disposition(part, &field))
            return fail(m, "a part's Content-Disposition is not form-data with a name");
        if (has_name(&field, "content-type")) {
            part->type = field.value;
            part->type_len = field.value_len;
        }
    }
    if (part->name == NULL)
        return fail(m, "a part has no Content-Disposition");
    m->head_len = 0;
    m->state = MULTIPART_IN_DATA;
    return MULTIPART_PART;
}

static bool head_is_whole(const struct multipart *m)
{
    return (m->head_len == 2 && memcmp(m->head, "\r\n", 2) == 0) ||
           (m->head_len >= 4 && memcmp(m->head + m->head_len - 4, "\r\n\r\n", 4) == 0);
}

static enum multipart_event collect_head(struct multipart *m, const char **in,
                                         size_t *len, struct multipart_part *part)
{
    while (*len > 0) {
        if (m->head_len == MULTIPART_HEAD_MAX)
            return fail(m, "the header of a part is too large");
        m->head[m->head_len++] = **in;
        take(in, len, 1);
        if (m->head[m->head_len - 1] == '\n' && head_is_whole(m))
            return read_head(m, part);
    }
    return MULTIPART_MORE;
}

/* -- Between parts -- */

/* The line that a delimiter begins: "--" at the very end, or white space and a line end.
 */
static enum multipart_event end_delimiter(struct multipart *m, char c)
{
    bool space = c == ' ' || c == '\t';
    if (m->state == MULTIPART_AFTER_DELIMITER && c == '-') {
        m->state = MULTIPART_IN_CLOSE;
    } else if (m->state == MULTIPART_IN_CLOSE && c == '-') {
        m->state = MULTIPART_IN_EPILOGUE;
        return MULTIPART_END;
    } else if (m->state == MULTIPART_BEFORE_LF && c == '\n') {
        m->state = MULTIPART_IN_HEAD;
    } else if (m->state == MULTIPART_IN_CLOSE || m->state == MULTIPART_BEFORE_LF) {
        return fail(m, "a boundary is followed by something else");
    } else if (space || c == '\r') {
        m->state = space ? MULTIPART_IN_PADDING : MULTIPART_BEFORE_LF;
    } else {
        return fail(m, "a boundary is followed by something else");
    }
    return MULTIPART_MORE;
}

static enum multipart_event end_delimiters(struct multipart *m, const char **in,
                                           size_t *len)
{
    enum multipart_event event = MULTIPART_MORE;
    while (event == MULTIPART_MORE && *len > 0 && m->state != MULTIPART_IN_HEAD) {
        event = end_delimiter(m, **in);
        take(in, len, 1);
    }
    return event;
}

/* -- All of it -- */

static enum multipart_event skip_preamble(struct multipart *m, const char **in,
                                          size_t *len, struct multipart_part *part)
{
    enum multipart_event event;
    while ((event = scan(m, in, len, part)) == MULTIPART_DATA)
        ;
    if (event == MULTIPART_PART_END)
        m->state = MULTIPART_AFTER_DELIMITER;
    return MULTIPART_MORE;
}

static enum multipart_event step(struct multipart *m, const char **in, size_t *len,
                                 struct multipart_part *part)
{
    enum multipart_event event;
    switch (m->state) {
    case MULTIPART_IN_PREAMBLE:
        return skip_preamble(m, in, len, part);
    case MULTIPART_IN_DATA:
        event = scan(m, in, len, part);
        if (event == MULTIPART_PART_END)
            m->state = MULTIPART_AFTER_DELIMITER;
        return event;
    case MULTIPART_IN_HEAD:
        return collect_head(m, in, len, part);
    case MULTIPART_IN_EPILOGUE:
        take(in, len, *len);
        return MULTIPART_MORE;
    case MULTIPART_FAILED:
        return MULTIPART_MALFORMED;
    default:
        return end_delimiters(m, in, len);
    }
}

enum multipart_event multipart_next(struct multipart *m, const char **in, size_t *len,
                                    struct multipart_part *part)
{
    enum multipart_event event = MULTIPART_MORE;
    while (event == MULTIPART_MORE && *len > 0)
        event = step(m, in, len, part);
    return event;
}

bool multipart_is_whole(const struct multipart *m)
{
    return m->state == MULTIPART_IN_EPILOGUE;
}
