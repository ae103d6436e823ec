#include "trouped_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::test {

namespace {

using testing::HasSubstr;

struct trouped_tls_test : trouped_test {
  void openssl(const std::string& arguments) {
    auto done =
        run("/bin/sh", {"-c", "openssl " + arguments}, {.environment = {}, .directory = scratch.path()});
    ASSERT_EQ(done.status, 0) << done.err;
  }
  void make_ca(const std::string& name) {
    openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" + name +
            " -keyout " + name + ".key -out " + name + ".pem");
  }
  void make_certificate(const std::string& name, const std::string& ca) {
    openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + name + " -keyout " + name +
            ".key -out " + name + ".csr");
    openssl("x509 -req -days 2 -in " + name + ".csr -CA " + ca + ".pem -CAkey " + ca +
            ".key -CAcreateserial -out " + name + ".pem");
  }
  std::string file(const std::string& name) { return (scratch / name).string(); }
  std::vector<std::string> tls(const std::string& name, const std::string& ca) {
    return {"--tls-cert",        file(name + ".pem"), "--tls-key",
            file(name + ".key"), "--tls-ca",          file(ca + ".pem")};
  }
  tls_files client_tls(const std::string& name, const std::string& ca) {
    return {file(name + ".pem"), file(name + ".key"), file(ca + ".pem")};
  }
  void SetUp() override {
    make_ca("ca");
    make_certificate("node", "ca");
    make_certificate("peer", "ca");
  }
};

} // namespace

TEST_F(trouped_tls_test, with_a_private_ca_it_listens_everywhere_and_serves_peers_of_that_ca_only) {
  auto arguments = tls("node", "ca");
  arguments.insert(arguments.end(), {"--listen", "0.0.0.0:0"});
  launched_node node{data, arguments};
  client_options options;
  options.address = "127.0.0.1:" + std::to_string(node.port());
  options.tls = client_tls("peer", "ca");
  {
    auto c = client::connect(options);
    ASSERT_TRUE(c) << to_string(c.error());
    ASSERT_TRUE(c->create_topic("orders"));
    publish(*c, "orders", {"one"});
  }
  make_ca("stranger");
  make_certificate("intruder", "stranger");
  options.timeout = milliseconds{3000};
  options.tls = client_tls("intruder", "ca");
  EXPECT_FALSE(client::connect(options));
  options.tls = {};
  EXPECT_FALSE(client::connect(options));
  options.tls = client_tls("peer", "ca");
  options.timeout = milliseconds{10'000};
  EXPECT_TRUE(client::connect(options));
  EXPECT_EQ(node.terminate(), 0) << node.child().errors();
}

TEST_F(trouped_tls_test, files_that_do_not_fit_are_refused_before_anything_is_made) {
  make_ca("stranger");
  openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 -pass pass:secret -out locked.key");
  write_file(scratch / "text.pem", "not a certificate\n");
  auto refused = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--data", data.string(), "--listen", "127.0.0.1:0"});
    auto done = trouped(arguments);
    EXPECT_EQ(done.status, 2) << done.err;
    return done.err;
  };
  EXPECT_THAT(
      refused({"--tls-cert", file("text.pem"), "--tls-key", file("node.key"), "--tls-ca", file("ca.pem")}),
      HasSubstr("text.pem"));
  EXPECT_THAT(
      refused({"--tls-cert", file("node.pem"), "--tls-key", file("peer.key"), "--tls-ca", file("ca.pem")}),
      HasSubstr("does not belong to the certificate"));
  EXPECT_THAT(
      refused({"--tls-cert", file("node.pem"), "--tls-key", file("locked.key"), "--tls-ca", file("ca.pem")}),
      HasSubstr("encrypted"));
  EXPECT_THAT(refused({"--tls-cert", file("node.pem"), "--tls-key", file("node.key"), "--tls-ca",
                       file("stranger.pem")}),
              HasSubstr("not trusted under the CA"));
  EXPECT_THAT(refused({"--tls-cert", file("node.pem"), "--tls-key", file("node.key"), "--tls-ca",
                       file("missing.pem")}),
              HasSubstr("missing.pem"));
  EXPECT_FALSE(fs::exists(data));
}

} // namespace troupe::test
