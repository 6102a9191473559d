/* sanitizer_options.c - linked into the shim when it is built with AddressSanitizer: programs that are exec'ed load the shim alone,
 * and with it the sanitizer, behind libc.
 */
__attribute__((visibility("default"))) const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "detect_leaks=0:verify_asan_link_order=0";
}
