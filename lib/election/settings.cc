#include "lib/election/settings.h"

#include <cstdio>

namespace mainstay::election {
namespace {

double Sec(Duration d) { return static_cast<double>(d.count()) / 1e9; }

std::string Line(const char* format, double a, double b, double c = 0, double d = 0) {
  char buf[256];
  std::snprintf(buf, sizeof buf, format, a, b, c, d);
  return std::string(buf) + "\n";
}

}  // namespace

std::string CheckTiming(const Settings& s) {
  std::string out;
  const double held = Sec(s.validity) / (1 - s.rho) + Sec(s.fence);
  const double waited = Sec(s.lease) / (1 + s.rho);
  if (s.lease <= Duration{} || s.validity <= Duration{} || s.fence <= Duration{} || s.renew <= Duration{})
    return "lease, validity, fence and renew must all be greater than 0\n";
  if (held > waited)
    out += Line(
        "unsafe: the old primary may acknowledge until validity/(1-rho) + fence = %.3f s, but others wait "
        "only lease/(1+rho) = %.3f s; "
        "raise election.lease to at least %.3f s or lower election.validity to at most %.3f s",
        held, waited, held * (1 + s.rho), (waited - Sec(s.fence)) * (1 - s.rho));
  if (s.renew * 3 > s.validity)
    out += Line(
        "unsafe: election.renew %.3f s leaves fewer than 3 tries within election.validity %.3f s; lower "
        "election.renew to at most %.3f s",
        Sec(s.renew), Sec(s.validity), Sec(s.validity) / 3);
  if (s.suspicion < s.renew + s.renew / 2)
    out += Line(
        "unsafe: election.suspicion %.3f s is shorter than 1.5 x election.renew %.3f s, one late renewal "
        "would be a suspicion; raise it to at least %.3f s",
        Sec(s.suspicion), Sec(s.renew), Sec(s.renew) * 1.5);
  if (s.freeze_wait <= Duration{} || s.freeze_wait > s.lease)
    out += Line("election.freeze_wait %.3f s must be between 0 and election.lease %.3f s", Sec(s.freeze_wait),
                Sec(s.lease));
  if (s.sync_count < 1) out += Line("sync_count is %.0f; it must be at least %.0f", s.sync_count, 1);
  if (s.rho < 0 || s.rho > 0.05) out += Line("rho is %.4f; it must be between 0 and %.2f", s.rho, 0.05);
  return out;
}

}  // namespace mainstay::election
