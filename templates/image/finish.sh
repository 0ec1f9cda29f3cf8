#!/bin/sh
# Runs once in the new root file system, after the packages, the agent and tree/ are there.
set -eu
systemd-sysusers
usermod -a -G bird ecm-agent
install -d -o ecm-agent -g ecm-agent -m 0755 /etc/ecm
# The agent starts the rest: firewall and routing have no configuration until it has one.
systemctl disable bird.service >/dev/null 2>&1
sed -i '/^pool /d' /etc/chrony/chrony.conf
systemctl enable chrony.service systemd-networkd.service ecm-firewall.service ecm-bird.path >/dev/null 2>&1
systemctl mask ssh.service apt-daily.timer apt-daily-upgrade.timer >/dev/null 2>&1
passwd -l root >/dev/null
# Nothing of the machine that built it, and no identity that two nodes would share.
rm -f /etc/ssh/ssh_host_* /etc/hostname /etc/resolv.conf /var/lib/systemd/random-seed /var/lib/dbus/machine-id
: > /etc/machine-id
rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/* /var/log/*.log /var/log/apt /root/.bash_history /tmp/*
