#include "lib/amqp/connection.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "lib/amqp/table.h"
#include "lib/base/file.h"
#include "lib/base/strings.h"

namespace mainstay::amqp {
namespace {

constexpr int kChannels = 16;
constexpr size_t kLongestBody = 4096;  // of a delivery, kept
constexpr size_t kLongestKey = 256;
constexpr int kGoodbye = 200;
constexpr uint16_t kPrefetch = 64;  // deliveries that wait for our acknowledgement
constexpr Duration kPatienceOfGoodbye = std::chrono::seconds(1);
constexpr Duration kLongestWait = std::chrono::minutes(1);

std::string Text(const amqp_bytes_t& bytes) {
  return std::string(static_cast<const char*>(bytes.bytes), bytes.len);
}

amqp_bytes_t Bytes(const std::string& text) {
  return {.len = text.size(), .bytes = const_cast<char*>(text.data())};
}

timeval Left(MonoTime deadline) {
  const Duration left = std::clamp<Duration>(deadline - BootClock().Now(), Duration::zero(), kLongestWait);
  const int64_t us = std::chrono::duration_cast<std::chrono::microseconds>(left).count();
  return {.tv_sec = us / 1'000'000, .tv_usec = us % 1'000'000};
}

int Millis(MonoTime deadline) {
  const timeval left = Left(deadline);
  return static_cast<int>(left.tv_sec * 1000 + (left.tv_usec + 999) / 1000);
}

amqp_table_entry_t Yes(const char* key) {
  amqp_table_entry_t out = {};
  out.key = amqp_cstring_bytes(key);
  out.value.kind = AMQP_FIELD_KIND_BOOLEAN;
  out.value.value.boolean = 1;
  return out;
}

amqp_table_entry_t TextEntry(const char* key, const char* value) {
  amqp_table_entry_t out = {};
  out.key = amqp_cstring_bytes(key);
  out.value.kind = AMQP_FIELD_KIND_UTF8;
  out.value.value.bytes = amqp_cstring_bytes(value);
  return out;
}

Event Confirm(Event::Kind kind, uint64_t tag, bool multiple) {
  Event out;
  out.kind = kind;
  out.tag = tag;
  out.multiple = multiple;
  return out;
}

// Failures of the library by its own code.
Failure FromStatus(int status, Step step) {
  switch (status) {
    case AMQP_STATUS_TIMEOUT:
    case AMQP_STATUS_HEARTBEAT_TIMEOUT:
      return Failure::kTimeout;
    case AMQP_STATUS_CONNECTION_CLOSED:
    case AMQP_STATUS_SOCKET_ERROR:
    case AMQP_STATUS_SOCKET_CLOSED:
    case AMQP_STATUS_TCP_ERROR:
      return step == Step::kConnect ? Failure::kRefused : Failure::kLost;
    case AMQP_STATUS_SSL_ERROR:
    case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED:
    case AMQP_STATUS_SSL_PEER_VERIFY_FAILED:
    case AMQP_STATUS_SSL_CONNECTION_FAILED:
      return step == Step::kConnect ? Failure::kTls : Failure::kLost;
    case AMQP_STATUS_BROKER_UNSUPPORTED_SASL_METHOD:
      return Failure::kAuth;
    case AMQP_STATUS_BAD_AMQP_DATA:
    case AMQP_STATUS_UNKNOWN_CLASS:
    case AMQP_STATUS_UNKNOWN_METHOD:
    case AMQP_STATUS_INCOMPATIBLE_AMQP_VERSION:
    case AMQP_STATUS_WRONG_METHOD:
    case AMQP_STATUS_UNEXPECTED_STATE:
      return Failure::kProtocol;
    default:
      return Failure::kLocal;
  }
}

}  // namespace

// ---- beginning and end ----

Trouble Connection::Open(const Endpoint& endpoint, const Login& login, MonoTime deadline, Step* step) {
  Close();
  *step = Step::kConnect;
  state_ = amqp_new_connection();
  if (state_ == nullptr) return {.failure = Failure::kLocal, .code = 0, .text = "no memory"};
  if (Trouble t = Connect(endpoint, deadline); !t.ok()) {
    Close();
    return t;
  }
  *step = Step::kLogin;
  return LogIn(endpoint, login, deadline);
}

int Connection::fd() const { return state_ == nullptr ? -1 : amqp_get_sockfd(state_); }

void Connection::Close() {
  if (state_ != nullptr) amqp_destroy_connection(state_);
  state_ = nullptr;
  channel_ = last_channel_ = 0;
  published_ = 0;
  partial_.reset();
}

void Connection::CloseKindly(MonoTime deadline) {
  if (state_ == nullptr) return;
  deadline = std::min(deadline, BootClock().Now() + kPatienceOfGoodbye);
  if (Room(deadline).ok()) {
    SetPatience(deadline);
    amqp_connection_close(state_, kGoodbye);
  }
  Close();
}

Trouble Connection::Connect(const Endpoint& endpoint, MonoTime deadline) {
  const std::string address = endpoint.address == "localhost" ? "127.0.0.1" : endpoint.address;
  return endpoint.tls ? ConnectTls(endpoint, address, deadline) : ConnectPlain(endpoint, address, deadline);
}

Trouble Connection::ConnectPlain(const Endpoint& endpoint, const std::string& address, MonoTime deadline) {
  sockaddr_storage where = {};
  socklen_t size = 0;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&where);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&where);
  if (inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(endpoint.port);
    size = sizeof *v4;
  } else if (inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(endpoint.port);
    size = sizeof *v6;
  } else {
    return {.failure = Failure::kLocal,
            .code = 0,
            .text = absl::StrCat(address, " is no address; names are not resolved")};
  }
  UniqueFd fd(socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  amqp_socket_t* tcp = fd.valid() ? amqp_tcp_socket_new(state_) : nullptr;
  if (tcp == nullptr) return {.failure = Failure::kLocal, .code = 0, .text = strerror(errno)};
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  int error = connect(fd.get(), reinterpret_cast<sockaddr*>(&where), size) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd p{fd.get(), POLLOUT, 0};
    const int n = poll(&p, 1, Millis(deadline));
    socklen_t length = sizeof error;
    if (n <= 0) return {.failure = Failure::kTimeout, .code = 0, .text = "no answer to a connection request"};
    if (getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  }
  if (error != 0) return {.failure = Failure::kRefused, .code = 0, .text = strerror(error)};
  amqp_tcp_socket_set_sockfd(tcp, fd.release());
  return {};
}

Trouble Connection::ConnectTls(const Endpoint& endpoint, const std::string& address, MonoTime deadline) {
  in6_addr scratch = {};
  if (inet_pton(AF_INET, address.c_str(), &scratch) != 1 &&
      inet_pton(AF_INET6, address.c_str(), &scratch) != 1)
    return {.failure = Failure::kLocal,
            .code = 0,
            .text = absl::StrCat(address, " is no address; names are not resolved")};
  amqp_socket_t* tls = amqp_ssl_socket_new(state_);
  if (tls == nullptr) return {.failure = Failure::kLocal, .code = 0, .text = "OpenSSL gives no context"};
  if (Trouble t = PrepareTls(tls, *endpoint.tls); !t.ok()) return t;
  timeval left = Left(deadline);
  const int status = amqp_socket_open_noblock(tls, address.c_str(), endpoint.port, &left);
  if (status == AMQP_STATUS_OK) return {};
  Trouble t{.failure = FromStatus(status, Step::kConnect), .code = 0, .text = amqp_error_string2(status)};
  if (t.failure == Failure::kTls) t.text = TlsProblem(tls);
  return t;
}

Trouble Connection::LogIn(const Endpoint& endpoint, const Login& login, MonoTime deadline) {
  amqp_table_entry_t capabilities[] = {Yes("connection.blocked"), Yes("consumer_cancel_notify"),
                                       Yes("publisher_confirms"), Yes("basic.nack")};
  amqp_table_entry_t properties[2] = {};
  properties[0].key = amqp_cstring_bytes("capabilities");
  properties[0].value.kind = AMQP_FIELD_KIND_TABLE;
  properties[0].value.value.table = {.num_entries = 4, .entries = capabilities};
  properties[1].key = amqp_cstring_bytes("connection_name");
  properties[1].value.kind = AMQP_FIELD_KIND_UTF8;
  properties[1].value.value.bytes = Bytes(endpoint.name);
  const amqp_table_t table = {.num_entries = 2, .entries = properties};
  timeval left = Left(deadline);
  amqp_set_handshake_timeout(state_, &left);
  const amqp_rpc_reply_t reply =
      amqp_login_with_properties(state_, endpoint.vhost.c_str(), kChannels, endpoint.frame_max, 0, &table,
                                 AMQP_SASL_METHOD_PLAIN, login.user.c_str(), login.password.c_str());
  Trouble t = Judge(reply, Step::kLogin);
  if (t.ok()) {
    ReadServer();
  } else {
    Close();
  }
  return t;
}

void Connection::ReadServer() {
  const amqp_table_t* table = amqp_get_server_properties(state_);
  for (int i = 0; i < table->num_entries; ++i) {
    const amqp_table_entry_t& e = table->entries[i];
    if (Text(e.key) == "version" && e.value.kind == AMQP_FIELD_KIND_UTF8)
      server_version_ = Cut(Text(e.value.value.bytes), 40);
  }
}

// ---- calls ----

void Connection::SetPatience(MonoTime deadline) {
  timeval left = Left(deadline);
  amqp_set_rpc_timeout(state_, &left);
}

// The library's sends wait for ever. What we send is less than what a socket that is called writable takes.
Trouble Connection::Room(MonoTime deadline) {
  if (state_ == nullptr) return {.failure = Failure::kLost, .code = 0, .text = "not connected"};
  pollfd p{amqp_get_sockfd(state_), POLLOUT, 0};
  if (poll(&p, 1, Millis(deadline)) > 0) return {};
  return {.failure = Failure::kTimeout, .code = 0, .text = "the broker reads nothing any more"};
}

Trouble Connection::Broken(int status, Step step) {
  Trouble t{.failure = FromStatus(status, step), .code = 0, .text = amqp_error_string2(status)};
  Close();
  return t;
}

void Connection::AnswerClose(uint16_t channel, uint32_t method) {
  if (!Room(BootClock().Now()).ok()) return;
  if (method == AMQP_CHANNEL_CLOSE_METHOD) {
    amqp_channel_close_ok_t ok = {};
    amqp_send_method(state_, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
  } else {
    amqp_connection_close_ok_t ok = {};
    amqp_send_method(state_, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
  }
}

// What a call came to. A channel that the broker closed leaves the connection.
Trouble Connection::Judge(const amqp_rpc_reply_t& reply, Step step) {
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) return {};
  if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply.reply.decoded == nullptr)
    return Broken(reply.library_error, step);
  if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
    const auto* close = static_cast<const amqp_channel_close_t*>(reply.reply.decoded);
    Trouble t = FromClose(close->reply_code, Text(close->reply_text), step);
    AnswerClose(channel_, AMQP_CHANNEL_CLOSE_METHOD);
    channel_ = 0;
    return t;
  }
  if (reply.reply.id != AMQP_CONNECTION_CLOSE_METHOD) return Broken(AMQP_STATUS_WRONG_METHOD, step);
  const auto* close = static_cast<const amqp_connection_close_t*>(reply.reply.decoded);
  Trouble t = FromClose(close->reply_code, Text(close->reply_text), step);
  AnswerClose(0, AMQP_CONNECTION_CLOSE_METHOD);
  Close();
  return t;
}

Trouble Connection::OpenChannel(MonoTime deadline) {
  if (Trouble t = Room(deadline); !t.ok()) return t;
  SetPatience(deadline);
  if (channel_ != 0) {
    if (Trouble t = Judge(amqp_channel_close(state_, channel_, kGoodbye), Step::kChannel); !open()) return t;
  }
  channel_ = last_channel_ = static_cast<uint16_t>(last_channel_ % kChannels + 1);
  published_ = 0;
  partial_.reset();
  amqp_channel_open(state_, channel_);
  if (Trouble t = Judge(amqp_get_rpc_reply(state_), Step::kChannel); !t.ok()) return t;
  amqp_confirm_select(state_, channel_);
  return Judge(amqp_get_rpc_reply(state_), Step::kChannel);
}

Trouble Connection::DeclareQueue(MonoTime deadline, std::string* name) {
  if (Trouble t = Room(deadline); !t.ok()) return t;
  SetPatience(deadline);
  const amqp_queue_declare_ok_t* ok =
      amqp_queue_declare(state_, channel_, amqp_empty_bytes, 0, 0, 1, 0, amqp_empty_table);
  if (ok != nullptr) *name = Text(ok->queue);
  return Judge(amqp_get_rpc_reply(state_), Step::kQueue);
}

Trouble Connection::DeclareShared(const SharedQueue& queue, MonoTime deadline) {
  if (Trouble t = Room(deadline); !t.ok()) return t;
  SetPatience(deadline);
  amqp_table_entry_t arguments[4] = {};
  arguments[0] = TextEntry("x-queue-type", "quorum");
  arguments[1] = Yes("x-single-active-consumer");
  arguments[2].key = amqp_cstring_bytes("x-max-length");
  arguments[2].value.kind = AMQP_FIELD_KIND_I64;
  arguments[2].value.value.i64 = queue.max_length;
  arguments[3] = TextEntry("x-overflow", "drop-head");
  const amqp_table_t table = {.num_entries = 4, .entries = arguments};
  amqp_queue_declare(state_, channel_, Bytes(queue.name), 0, 1, 0, 0, table);
  return Judge(amqp_get_rpc_reply(state_), Step::kQueue);
}

Trouble Connection::Bind(const std::string& queue, const std::string& exchange, const std::string& key,
                         MonoTime deadline) {
  if (Trouble t = Room(deadline); !t.ok()) return t;
  SetPatience(deadline);
  amqp_queue_bind(state_, channel_, Bytes(queue), Bytes(exchange), Bytes(key), amqp_empty_table);
  return Judge(amqp_get_rpc_reply(state_), Step::kQueue);
}

Trouble Connection::Consume(const std::string& queue, MonoTime deadline, bool exclusive) {
  if (Trouble t = Room(deadline); !t.ok()) return t;
  SetPatience(deadline);
  if (!exclusive) {
    amqp_basic_qos(state_, channel_, 0, kPrefetch, 0);
    if (Trouble t = Judge(amqp_get_rpc_reply(state_), Step::kQueue); !t.ok()) return t;
  }
  amqp_basic_consume(state_, channel_, Bytes(queue), amqp_empty_bytes, 0, 0, exclusive ? 1 : 0,
                     amqp_empty_table);
  return Judge(amqp_get_rpc_reply(state_), Step::kQueue);
}

Trouble Connection::Publish(const std::string& queue, const std::string& body, MonoTime deadline) {
  if (Trouble t = Room(deadline); !t.ok()) return t;
  const int status =
      amqp_basic_publish(state_, channel_, amqp_empty_bytes, Bytes(queue), 1, 0, nullptr, Bytes(body));
  if (status != AMQP_STATUS_OK) return Broken(status, Step::kPublish);
  ++published_;
  return {};
}

Trouble Connection::Ack(uint64_t delivery, MonoTime deadline) {
  if (Trouble t = Room(deadline); !t.ok()) return t;
  const int status = amqp_basic_ack(state_, channel_, delivery, 0);
  return status == AMQP_STATUS_OK ? Trouble() : Broken(status, Step::kAck);
}

// ---- events ----

Trouble Connection::Next(MonoTime deadline, Event* event) {
  if (state_ == nullptr) return {.failure = Failure::kLost, .code = 0, .text = "not connected"};
  bool late = false;
  while (!late) {
    late = BootClock().Now() >= deadline;  // once more: something may wait to be read
    amqp_maybe_release_buffers(state_);
    amqp_frame_t frame = {};
    timeval left = Left(deadline);
    const int status = amqp_simple_wait_frame_noblock(state_, &frame, &left);
    if (status == AMQP_STATUS_TIMEOUT) continue;
    if (status != AMQP_STATUS_OK) return Broken(status, Step::kDeliver);
    *event = Event();
    if (!Take(frame, event)) continue;
    if (event->kind == Event::Kind::kConnectionClose) Close();
    return {};
  }
  return {.failure = Failure::kTimeout, .code = 0, .text = ""};
}

bool Connection::Take(const amqp_frame_t& frame, Event* event) {
  if (frame.channel != 0 && frame.channel != channel_) return false;
  return frame.frame_type == AMQP_FRAME_METHOD ? TakeMethod(frame, event) : TakeContent(frame, event);
}

bool Connection::TakeMethod(const amqp_frame_t& frame, Event* event) {
  using Kind = Event::Kind;
  const amqp_method_t& m = frame.payload.method;
  switch (m.id) {
    case AMQP_BASIC_ACK_METHOD: {
      const auto* d = static_cast<const amqp_basic_ack_t*>(m.decoded);
      *event = Confirm(Kind::kAck, d->delivery_tag, d->multiple != 0);
      return true;
    }
    case AMQP_BASIC_NACK_METHOD: {
      const auto* d = static_cast<const amqp_basic_nack_t*>(m.decoded);
      *event = Confirm(Kind::kNack, d->delivery_tag, d->multiple != 0);
      return true;
    }
    case AMQP_BASIC_DELIVER_METHOD:
    case AMQP_BASIC_RETURN_METHOD: {  // the content follows
      partial_.emplace();
      header_seen_ = false;
      if (m.id == AMQP_BASIC_DELIVER_METHOD) {
        const auto* d = static_cast<const amqp_basic_deliver_t*>(m.decoded);
        partial_->kind = Kind::kDeliver;
        partial_->tag = d->delivery_tag;
        partial_->key = Cut(Text(d->routing_key), kLongestKey);
      } else {
        const auto* d = static_cast<const amqp_basic_return_t*>(m.decoded);
        partial_->kind = Kind::kReturn;
        partial_->code = d->reply_code;
        partial_->text = Text(d->reply_text);
      }
      return false;
    }
    case AMQP_BASIC_CANCEL_METHOD:
      event->kind = Kind::kCancel;
      return true;
    case AMQP_CONNECTION_BLOCKED_METHOD:
      event->kind = Kind::kBlocked;
      event->text = Text(static_cast<const amqp_connection_blocked_t*>(m.decoded)->reason);
      return true;
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
      event->kind = Kind::kUnblocked;
      return true;
    case AMQP_CHANNEL_CLOSE_METHOD:
    case AMQP_CONNECTION_CLOSE_METHOD: {
      // Both begin with code and text.
      const bool whole = m.id == AMQP_CONNECTION_CLOSE_METHOD;
      event->kind = whole ? Kind::kConnectionClose : Kind::kChannelClose;
      event->code = whole ? static_cast<const amqp_connection_close_t*>(m.decoded)->reply_code
                          : static_cast<const amqp_channel_close_t*>(m.decoded)->reply_code;
      event->text = Text(whole ? static_cast<const amqp_connection_close_t*>(m.decoded)->reply_text
                               : static_cast<const amqp_channel_close_t*>(m.decoded)->reply_text);
      AnswerClose(frame.channel, m.id);
      if (!whole) channel_ = 0;
      return true;
    }
    default:
      return false;
  }
}

bool Connection::TakeContent(const amqp_frame_t& frame, Event* event) {
  if (!partial_) return false;
  if (frame.frame_type == AMQP_FRAME_HEADER && !header_seen_) {
    header_seen_ = true;
    missing_ = frame.payload.properties.body_size;
    const auto* p = static_cast<const amqp_basic_properties_t*>(frame.payload.properties.decoded);
    if (partial_->kind == Event::Kind::kDeliver && (p->_flags & AMQP_BASIC_HEADERS_FLAG) != 0)
      partial_->headers = TableText(p->headers);
  } else if (frame.frame_type == AMQP_FRAME_BODY && header_seen_) {
    const amqp_bytes_t& part = frame.payload.body_fragment;
    missing_ -= std::min<uint64_t>(missing_, part.len);
    if (partial_->body.size() + part.len <= kLongestBody) partial_->body += Text(part);
  }
  if (!header_seen_ || missing_ > 0) return false;
  *event = *std::move(partial_);
  partial_.reset();
  return true;
}

}  // namespace mainstay::amqp
