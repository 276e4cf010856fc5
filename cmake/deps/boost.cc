// The bodies of Boost.Asio and Boost.Beast, compiled once for the whole project (see mainstay_dep_boost).
#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/src.hpp>
