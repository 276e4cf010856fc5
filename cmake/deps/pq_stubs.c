/* What libpq.a asks of GSSAPI and LDAP, answered "not available".
 *
 * Debian's libpq.so brings Kerberos, LDAP, GnuTLS and SASL into every program: 5 MB of RSS and 20 libraries,
 * for two features that a client of a local unix socket cannot use. The agent therefore links libpq.a, and
 * these take the place of the missing archives: every GSS call fails with GSS_S_FAILURE (libpq then goes on
 * without GSS) and every LDAP call says "no" (only a service file with an ldap:// line would get there).
 * Nothing here is ever handed a secret.
 */
#include <stddef.h>
#include <stdint.h>

void* GSS_C_NT_HOSTBASED_SERVICE = NULL;

/* All of them take the minor status first, and GSS_S_FAILURE is 13 << 16. */
#define GSS(name)                  \
  uint32_t name(uint32_t* minor) { \
    *minor = 0;                    \
    return (uint32_t)13 << 16;     \
  }
GSS(gss_acquire_cred)
GSS(gss_delete_sec_context)
GSS(gss_display_status)
GSS(gss_import_name)
GSS(gss_init_sec_context)
GSS(gss_release_buffer)
GSS(gss_release_cred)
GSS(gss_release_name)
GSS(gss_unwrap)
GSS(gss_wrap)
GSS(gss_wrap_size_limit)

#define LDAP_POINTER(name) \
  void* name(void) { return NULL; }
LDAP_POINTER(ldap_init)
LDAP_POINTER(ldap_first_entry)
LDAP_POINTER(ldap_get_values_len)

char* ldap_err2string(int error) {
  (void)error;
  return (char*)"this program was built without LDAP";
}

#define LDAP_NUMBER(name) \
  int name(void) { return -1; }
LDAP_NUMBER(ldap_count_entries)
LDAP_NUMBER(ldap_msgfree)
LDAP_NUMBER(ldap_result)
LDAP_NUMBER(ldap_search_st)
LDAP_NUMBER(ldap_set_option)
LDAP_NUMBER(ldap_simple_bind)
LDAP_NUMBER(ldap_unbind)
LDAP_NUMBER(ldap_value_free_len)
