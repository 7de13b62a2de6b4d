// The libexpat header as Swift must see it.
//
// Debian's expat.h declares the entity-expansion and allocation limits only under XML_DTD (2.5) or XML_GE (2.6 and later). Without the
// declarations a C caller falls back to an implicit one, passes a double where a float is expected, and sets no limit. The library
// itself is always built with them; the definitions below only uncover the declarations.
//
// The limits came to the library at different times (2.4.0, 2.6.0, 2.7.2) and distributions carry them back to older versions, so the
// version number does not tell whether they are there. Weak references do, when the program is loaded.
#ifndef CEXPAT_H
#define CEXPAT_H

#ifndef XML_DTD
#define XML_DTD 1
#endif
#ifndef XML_GE
#define XML_GE 1
#endif
#include <expat.h>

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wredundant-decls"
extern XML_Bool XML_SetBillionLaughsAttackProtectionMaximumAmplification(XML_Parser parser, float factor) __attribute__((weak));
extern XML_Bool XML_SetBillionLaughsAttackProtectionActivationThreshold(XML_Parser parser, unsigned long long bytes) __attribute__((weak));
extern XML_Bool XML_SetAllocTrackerMaximumAmplification(XML_Parser parser, float factor) __attribute__((weak));
extern XML_Bool XML_SetAllocTrackerActivationThreshold(XML_Parser parser, unsigned long long bytes) __attribute__((weak));
extern XML_Bool XML_SetReparseDeferralEnabled(XML_Parser parser, XML_Bool enabled) __attribute__((weak));
#pragma clang diagnostic pop

// Sets every limit this libexpat has. The caller bounds the size of an incomplete token, which is what reparse deferral is for, and
// deferral would hold back the last event of a chunk until the next chunk comes: off.
static inline void cexpat_set_limits(XML_Parser parser, float factor, unsigned long long bytes) {
    if (XML_SetBillionLaughsAttackProtectionMaximumAmplification) XML_SetBillionLaughsAttackProtectionMaximumAmplification(parser, factor);
    if (XML_SetBillionLaughsAttackProtectionActivationThreshold) XML_SetBillionLaughsAttackProtectionActivationThreshold(parser, 4096);
    if (XML_SetAllocTrackerMaximumAmplification) XML_SetAllocTrackerMaximumAmplification(parser, 100.0f);
    if (XML_SetAllocTrackerActivationThreshold) XML_SetAllocTrackerActivationThreshold(parser, bytes);
    if (XML_SetReparseDeferralEnabled) XML_SetReparseDeferralEnabled(parser, XML_FALSE);
}

#endif
