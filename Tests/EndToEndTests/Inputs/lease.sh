#!/bin/sh
# What a DHCP client runs when it has learned something. It notes it in the file named by LEASE_FILE (dhclient: -e LEASE_FILE=…) and gives the interface the
# address; nothing outside the namespace is touched, least of all /etc/resolv.conf.
event=${reason:-$1}
{ echo "event=$event"; env | grep -E '^(new_|ip=|subnet=|mask=|router=|dns=|domain=|search=|hostname=|mtu=|lease=|ntpsrv=|staticroutes=|serverid=|broadcast=)'; echo; } >>"$LEASE_FILE"
case $event in
    PREINIT | PREINIT6) ip link set "$interface" up ;;
    BOUND | REBOOT | RENEW | REBIND) ip address replace "$new_ip_address/$new_subnet_mask" dev "$interface" ;;
    BOUND6 | RENEW6 | REBIND6) ip -6 address replace "$new_ip6_address/128" dev "$interface" nodad ;;
    bound | renew) ip address replace "$ip/$mask" dev "$interface" ;;
esac
