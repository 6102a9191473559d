/* words.c - wordexp(3), which looks for names within libc, on this machine.
 *
 * libc does all but that: the signs of a pattern, where they count, are hidden from it (as bytes that no text has) and
 * matched afterwards by glob(3) as we have it. What comes out of a variable or a command is no pattern to libc.
 */
#include "real.h"

#include <stdlib.h>

static const char SIGNS[] = "*?[]";
/* Bytes that stand for them, in their order. */
static const char HIDDEN[] = "\x01\x02\x03\x04";

/* How deep in what: libc sees that as it is. */
struct nesting {
	bool is_single, is_double, is_back;
	int round, curly;
};

static bool is_plain(const struct nesting *it)
{
	return !it->is_single && !it->is_double && !it->is_back && it->round == 0 && it->curly == 0;
}

/* Takes one letter, or two; how many. */
static size_t step(struct nesting *it, const char *at)
{
	bool is_deep = it->is_back || it->round > 0 || it->curly > 0;
	if (*at == '\'' && !it->is_double && !it->is_back) {
		it->is_single = !it->is_single;
	} else if (it->is_single) {
		return 1;
	} else if (*at == '\\' && at[1]) {
		return 2;
	} else if (*at == '`') {
		it->is_back = !it->is_back;
	} else if (*at == '"' && !is_deep) {
		it->is_double = !it->is_double;
	} else if (*at == '$' && (at[1] == '(' || at[1] == '{')) {
		*(at[1] == '(' ? &it->round : &it->curly) += 1;
		return 2;
	} else if (*at == '(' && it->round > 0) {
		it->round++;
	} else if (*at == ')' && it->round > 0) {
		it->round--;
	} else if (*at == '}' && it->curly > 0) {
		it->curly--;
	}
	return 1;
}

static void hide(char *text)
{
	struct nesting nesting = { 0 };
	for (char *at = text; *at;) {
		const char *sign = is_plain(&nesting) ? strchr(SIGNS, *at) : NULL;
		if (sign)
			*at++ = HIDDEN[sign - SIGNS];
		else
			at += step(&nesting, at);
	}
}

static bool has_hidden(const char *word)
{
	return strpbrk(word, HIDDEN) != NULL;
}

/* The pattern that a word is: what was hidden counts, what was not was quoted. */
static char *pattern_of(const char *word)
{
	char *pattern = malloc(2 * strlen(word) + 1), *to = pattern;
	for (; pattern && *word; word++) {
		const char *hidden = strchr(HIDDEN, *word);
		if (!hidden && strchr("\\*?[]", *word))
			*to++ = '\\';
		*to++ = hidden ? SIGNS[hidden - HIDDEN] : *word;
	}
	if (pattern)
		*to = '\0';
	return pattern;
}

/* What the text said, when nothing matches. */
static void show_again(char *word)
{
	for (; *word; word++) {
		const char *hidden = strchr(HIDDEN, *word);
		if (hidden)
			*word = SIGNS[hidden - HIDDEN];
	}
}

/* Puts the names that match in the place of the word at `at`. 0, or WRDE_NOSPACE. */
static int put_matches(wordexp_t *words, size_t at, const glob_t *found)
{
	size_t offset = words->we_offs + at, more = found->gl_pathc - 1;
	size_t count = words->we_offs + words->we_wordc + 1;
	char **grown = realloc(words->we_wordv, (count + more) * sizeof *grown);
	if (!grown)
		return WRDE_NOSPACE;
	words->we_wordv = grown;
	for (size_t each = 0; each < found->gl_pathc; each++) {
		/* The first takes the word's place only when all are there. */
		char *name = strdup(found->gl_pathv[each]);
		if (!name)
			return WRDE_NOSPACE;
		if (each == 0) {
			free(grown[offset]);
		} else {
			memmove(grown + offset + each + 1, grown + offset + each, (count - offset - each) * sizeof *grown);
			count++;
			words->we_wordc++;
		}
		grown[offset + each] = name;
	}
	return 0;
}

/* The matches of the words from `first` on. */
static int match(wordexp_t *words, size_t first)
{
	for (size_t at = first; at < words->we_wordc; at++) {
		char *word = words->we_wordv[words->we_offs + at];
		if (!has_hidden(word))
			continue;
		char *pattern = pattern_of(word);
		glob_t found = { 0 };
		int result = pattern ? hook_glob(pattern, 0, NULL, &found) : GLOB_NOSPACE;
		free(pattern);
		int error = result == GLOB_NOSPACE ? WRDE_NOSPACE : 0;
		show_again(word);
		if (result == 0) {
			size_t matches = found.gl_pathc;
			error = put_matches(words, at, &found);
			at += matches - 1;
			globfree(&found);
		}
		if (error)
			return error;
	}
	return 0;
}

int hook_wordexp(const char *text, wordexp_t *words, int flags)
{
	char *hidden = shim.fs_mode == FS_LOCAL || strpbrk(text, HIDDEN) ? NULL : strdup(text);
	if (!hidden)
		return real.wordexp(text, words, flags);
	hide(hidden);
	size_t first = flags & WRDE_APPEND ? words->we_wordc : 0;
	int result = real.wordexp(hidden, words, flags);
	free(hidden);
	return result == 0 ? match(words, first) : result;
}
