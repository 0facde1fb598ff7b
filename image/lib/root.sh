# The root file system: the base system without what a jukebox does not need, and with what makes it one.
# shellcheck shell=bash disable=SC2154

# Kernel modules that the list and the boards' device trees ask for, decompressed: the file system compresses them again,
# and the board need not unpack xz at each start.
install_modules() {
    local list=$1 to=$2/usr/lib/modules/$kernel_version from=$work/unpacked/usr/lib/modules/$kernel_version path trees=() board
    for board in "${boards[@]}"; do trees+=("$work/unpacked/usr/lib/linux-image-$kernel_version/broadcom/$board.dtb"); done
    [ -f "$from/modules.dep" ] || depmod -b "$work/unpacked/usr" "$kernel_version"
    mkdir -p "$to"
    cp "$from"/modules.{builtin,builtin.modinfo,order} "$to/"
    sed "s/@FS_MODULE@/$root_module/g" "$list" >"$work/modules"
    python3 "$here/lib/modules.py" "$from" "$work/modules" "${trees[@]}" >"$work/modules.paths"
    while read -r path; do
        mkdir -p "$to/$(dirname "$path")"
        xz -dc "$from/$path" >"$to/${path%.xz}"
    done <"$work/modules.paths"
    # The tree looks like a root with merged /usr, where /lib is a link; depmod needs only lib/modules.
    depmod -b "$2/usr" "$kernel_version"
    # Only depmod itself and debuggers look at these.
    rm -f "$to"/modules.{symbols,symbols.bin,order,builtin.modinfo}
}

# Wi-Fi firmware of the boards, with the links that lead to it.
install_firmware() {
    local from=$work/unpacked/usr/lib/firmware to=$1/usr/lib/firmware pattern path
    mkdir -p "$to/brcm" "$to/cypress"
    while read -r pattern; do
        # Patterns of the list expand here.
        # shellcheck disable=SC2086
        for path in "$from"/$pattern; do
            [ -e "$path" ] || [ -L "$path" ] || { echo "image: firmware-brcm80211 has no $pattern" >&2; exit 1; }
            cp -a "$path" "$to/${path#"$from/"}"
        done
    done < <(sed 's/#.*//; /^ *$/d' "$here/firmware")
    # What Debian does not carry, of the builder's choice.
    if [ -n "${IMAGE_FIRMWARE:-}" ]; then cp -L --no-preserve=ownership "$IMAGE_FIRMWARE"/* "$to/brcm/"; fi
    local broken
    broken=$(find "$to/brcm" "$to/cypress" -xtype l)
    [ -z "$broken" ] || { echo "image: links to firmware that is not taken along: $broken" >&2; exit 1; }
}

# Who made it: package, version and licence file of everything in the image. Before the package database goes.
write_manifest() {
    local root=$1
    {
        printf '%s\t%s\t%s\n' package version licences
        awk -v RS= '{ name = version = ""
            for (i = 1; i <= split($0, lines, "\n"); i++) {
                if (lines[i] ~ /^Package: /) name = substr(lines[i], 10)
                if (lines[i] ~ /^Version: /) version = substr(lines[i], 10) }
            print name "\t" version }' "$root/var/lib/dpkg/status" | sort |
            while IFS=$'\t' read -r package version; do
                printf '%s\t%s\t%s\n' "$package" "$version" "$(licences "$root/usr/share/doc/$package/copyright")"
            done
        # Taken apart and not installed: <package>_<version>_<architecture>.deb
        sort "$work/taken" | while IFS=_ read -r package version _; do
            printf '%s\t%s\t%s\n' "$package" "${version//%3a/:}" "$(licences "$work/unpacked/usr/share/doc/$package/copyright")"
        done
        printf '%s\t%s\t%s\n' silverstream "$(program_version)" MIT
    } >"$work/manifest.tsv"
}

# The licence files themselves, for whoever passes the image on; the image has no room for them.
pack_licences() {
    local root=$1
    mkdir -p "$work/licences/taken"
    (cd "$root/usr/share/doc" && find . -name copyright | cpio --quiet -pdm "$work/licences")
    (cd "$work/unpacked/usr/share/doc" && find . -name copyright | cpio --quiet -pdm "$work/licences/taken")
    cp -a "$root/usr/share/common-licenses" "$work/licences/"
    cp "$top/LICENSE" "$work/licences/silverstream"
    tar -C "$work/licences" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -c . |
        xz -6 >"$work/licences.tar.xz"
}

# Short names in the machine-readable copyright files; "see copyright" for those written freely.
licences() {
    local names=""
    [ ! -f "$1" ] || names=$(sed -n 's/^License: *//p' "$1" | sed 's/ *$//' | sort -u | paste -sd '|' | sed 's/|/, /g')
    echo "${names:-see copyright}"
}

program_version() { sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -1; }

# Takes out what only installs, documents or translates. Paths, one a line, patterns allowed.
prune() {
    local root=$1 path package
    while read -r package; do
        # Files, not maintainer scripts: there is no package manager to keep right any more.
        while read -r path; do
            if [ -L "$root/$path" ] || [ ! -d "$root/$path" ]; then rm -f "${root:?}/$path"; fi
        done < <(cat "$root/var/lib/dpkg/info/$package.list" "$root/var/lib/dpkg/info/$package:arm64.list" 2>/dev/null)
    done < <(sed 's/#.*//; s/ //g; /^$/d' "$here/prune-packages")
    while read -r path; do
        # shellcheck disable=SC2086
        rm -rf "${root:?}"/$path
    done < <(sed 's/#.*//; s/ *$//; /^$/d' "$here/prune-paths")
    find "$root/usr" -xdev -type d -empty -delete
}

# Files of ours, with the card's identity filled in.
install_tree() {
    local root=$1
    # With modes of their own, and not what the builder's umask made of them in the checkout, also for folders that are there.
    cp -a --no-preserve=ownership "$here/rootfs" "$work/rootfs"
    chmod -R u=rwX,go=rX "$work/rootfs"
    cp -a "$work/rootfs/." "$root/"
    grep -rlE '@(DISK_ID|COMPATIBLE)@' "$here/rootfs" | while read -r path; do
        sed -i "s/@DISK_ID@/$disk_id/g; s/@COMPATIBLE@/$compatible/g" "$root/${path#"$here/rootfs/"}"
    done
    install -m 755 "$program" "$root/usr/bin/silverstream"
    # The jukebox's own unit and rules, and what a card's system does otherwise.
    local units=$root/usr/lib/systemd/system
    install -D -m 644 "$here/service/silverstream.service" -t "$units"
    install -D -m 644 "$here/service/appliance.conf" -t "$units/silverstream.service.d"
    install -D -m 644 "$here/service/silverstream.udev" "$root/usr/lib/udev/rules.d/60-silverstream.rules"
    mkdir -p "$root/data" "$root/boot/firmware" "$root/root" "$root/usr/share/silverstream"
    # Debian's lists the files in profile.d with a program of its package management.
    # shellcheck disable=SC2016
    sed -i 's|\$(run-parts .* /etc/profile\.d)|/etc/profile.d/*.sh|' "$root/etc/profile"
    # State that belongs to this card and not to the image lies on the data partition or in memory.
    ln -sfn /run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
    ln -sfn /data/system/localtime "$root/etc/localtime"
    ln -sfn /data/system/silverstream.toml "$root/etc/silverstream.toml"
    # Its time is the earliest that the clock shows.
    : >"$root/usr/lib/clock-epoch"
    # Empty, not missing: systemd then makes one in memory for each start, and nothing takes it for a first boot.
    : >"$root/etc/machine-id"
    {
        echo "IMAGE_ID=silverstream"
        echo "IMAGE_VERSION=$(image_version)"
    } >>"$root/usr/lib/os-release"
    install -m 644 "$work/manifest.tsv" "$root/usr/share/silverstream/manifest.tsv"
}

# Version of the image: of the program, and which packages and settings it was built of.
image_version() { cat "$work/version"; }

# Enables and disables services as a preset would, without running systemd of the image.
enable_services() {
    local root=$1
    systemctl --root "$root" --quiet disable ssh.service wpa_supplicant.service rauc-mark-good.service \
        apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
        getty@tty1.service remote-fs.target systemd-networkd-wait-online.service systemd-pstore.service 2>/dev/null || true
    systemctl --root "$root" --quiet enable systemd-networkd.service systemd-resolved.service systemd-timesyncd.service \
        ssh.socket silverstream-data.service silverstream.service silverstream-deadline.timer \
        silverstream-keep-log.timer silverstream-poweroff.path fstrim.timer
    ln -sfn multi-user.target "$root/usr/lib/systemd/system/default.target"
    # Nobody can log in at a console; nothing of these is used. Device files for drivers that are not loaded (the static
    # ones, /dev/loop-control among them) are made by those who load them; see rauc.service.d.
    systemctl --root "$root" --quiet mask getty.target autovt@.service console-getty.service serial-getty@.service \
        systemd-networkd-wait-online.service systemd-firstboot.service systemd-machine-id-commit.service \
        ldconfig.service systemd-hwdb-update.service systemd-journal-flush.service \
        systemd-journal-catalog-update.service systemd-update-done.service rescue.service debug-shell.service \
        systemd-random-seed.service systemd-rfkill.service systemd-rfkill.socket proc-sys-fs-binfmt_misc.automount \
        systemd-binfmt.service systemd-hibernate-clear.service systemd-hostnamed.socket systemd-sysext.socket \
        systemd-user-sessions.service sshd-keygen.service systemd-sysusers.service \
        systemd-modules-load.service systemd-network-generator.service systemd-networkd-persistent-storage.service \
        systemd-udev-load-credentials.service systemd-creds.socket systemd-initctl.socket \
        systemd-ask-password-console.path systemd-ask-password-wall.path systemd-pcrextend.socket systemd-pcrlock.socket \
        systemd-pcrmachine.service systemd-pcrphase-sysinit.service systemd-pcrphase.service systemd-tpm2-setup-early.service \
        systemd-tpm2-setup.service kmod-static-nodes.service systemd-tmpfiles-setup-dev-early.service \
        systemd-tmpfiles-setup-dev.service dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount \
        sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount
}

build_root() {
    local root=$work/root
    mkdir -p "$root"
    tar -C "$root" -xf "$base" --numeric-owner
    write_manifest "$root"
    pack_licences "$root"
    # The date stands apart: the version names content.
    (
        cat "$work/manifest.tsv"
        sha256sum <"$program"
        cd "$top" && find image board -type f -print0 | sort -z | xargs -0 sha256sum
    ) | sha256sum | cut -c 1-8 >"$work/version.hash"
    echo "$(program_version)+$(cat "$work/version.hash")" >"$work/version"
    # Our users, before their tool's package data are looked at by anybody.
    install -D -m 644 "$here/rootfs/usr/lib/sysusers.d/silverstream.conf" "$root/usr/lib/sysusers.d/silverstream.conf"
    SYSTEMD_LOG_LEVEL=warning systemd-sysusers --root "$root" silverstream.conf
    # Days of "last change" follow the clock of the build.
    sed -i -E 's/^([^:]*:[^:]*):[0-9]*:/\1::/' "$root/etc/shadow"
    rm -f "$root"/etc/{passwd-,group-,shadow-,gshadow-,.pwd.lock}
    install_modules "$here/modules" "$root"
    install_firmware "$root"
    prune "$root"
    install_tree "$root"
    enable_services "$root"
    # Mutable state starts empty: /var is memory.
    rm -rf "${root:?}"/{var,run,tmp} "$root"/etc/ssh/ssh_host_*
    mkdir -m 755 "$root/var" "$root/run"
    mkdir -m 1777 "$root/tmp"
    # There is nobody whom a set-user-ID program would serve.
    find "$root" -xdev -type f -perm /6000 -exec chmod a-s {} +
    check_root "$root"
}

# What the README promises of the system and can be seen without starting it.
check_root() {
    local root=$1 found
    found=$(awk -F: '$2 !~ /^[!*]/ { print $1 }' "$root/etc/shadow")
    [ -z "$found" ] || { echo "image: accounts with a password or none asked for: $found" >&2; exit 1; }
    found=$(find "$root/etc/ssh" -name 'ssh_host_*'; find "$root" -xdev -type f -perm /6000)
    [ -z "$found" ] || { echo "image: host keys or set-user-ID programs: $found" >&2; exit 1; }
    # Exposure in tenths.
    systemd-analyze --root="$root" --offline=true --threshold=15 security silverstream.service >"$work/security" 2>&1 ||
        { cat "$work/security" >&2; exit 1; }
}

build_root_image() {
    install -m 644 "$keys/release.cert.pem" "$work/root/etc/rauc/keyring.pem"
    find "$work/root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    # Sorted by mksquashfs itself; its times follow SOURCE_DATE_EPOCH.
    mksquashfs "$work/root" "$work/rootfs.img" -comp zstd -Xcompression-level 19 -b 128K -noappend -no-progress -quiet >&2
    say "root file system: $(du -m --apparent-size "$work/rootfs.img" | cut -f 1) MiB"
}
