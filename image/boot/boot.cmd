# Chooses the slot to start and starts its kernel. Runs in U-Boot on every supported board and in QEMU.
#
# The state is RAUC's: BOOT_ORDER names the slots, best first; BOOT_A_LEFT and BOOT_B_LEFT say how many more times a slot
# may be tried. Each start costs the slot one try; the running system gives it its tries back once the jukebox is ready.
# A slot without tries left is passed over: that is the roll-back. Two numbers say "none left": 00, written here with the last
# try or when a slot does not load, is one that may work the next time; 0 is one that must not be started: RAUC is overwriting
# it, or it was found bad. Both are 0 to everybody else.
#
# The state lies in the raw partition 5 in two copies with a checksum and a serial number each, in the format of U-Boot's
# redundant environment (fw_printenv and fw_setenv in Linux). U-Boot's own saveenv goes to another place on each board and
# into the FAT file system, which a power cut can damage; so the script reads and writes the copies itself, always the
# older one. Whatever is interrupted, one valid copy stays.

# Memory: everything is placed relative to the start of RAM (0 on a Raspberry Pi, 1 GiB in QEMU) and within 256 MiB.
setexpr ram ${kernel_addr_r} '&' 0xf0000000
setexpr kernel_at ${ram} + 0x04000000
setexpr packed_at ${ram} + 0x08000000
setexpr initrd_at ${ram} + 0x0b000000
setexpr fdt_at ${ram} + 0x0d000000
setexpr overlay_at ${ram} + 0x0d200000
setexpr copy1_at ${ram} + 0x0e000000
setexpr copy2_at ${ram} + 0x0e010000
setexpr plain_at ${ram} + 0x0e020000
setexpr sums_at ${ram} + 0x0e030000
setexpr found_at ${ram} + 0x0e040000

# A copy is 4 KiB (8 sectors): CRC-32, serial number (1 byte), variables. The second copy is 256 KiB (0x200 sectors) after
# the first, so that both never share an erase block of the card.
part start ${devtype} ${devnum} 5 state_start
setexpr state_second ${state_start} + 0x200

# Reads the copy at ${at}: sets ${valid}, ${serial}. U-Boot checks the form without serial number, so that byte is cut out.
setenv read_copy 'setenv valid 0; setexpr from ${at} + 5; setexpr to ${plain_at} + 4; setexpr serial_at ${at} + 4;
cp.b ${at} ${plain_at} 4; cp.b ${from} ${to} 0xffb; setexpr.b serial *${serial_at};
if env import -c ${plain_at} 0xfff BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT; then setenv valid 1; fi'

${devtype} dev ${devnum}
${devtype} read ${copy1_at} ${state_start} 8
${devtype} read ${copy2_at} ${state_second} 8
setenv at ${copy1_at}; run read_copy; setenv valid1 ${valid}; setenv serial1 ${serial}
setenv at ${copy2_at}; run read_copy; setenv valid2 ${valid}; setenv serial2 ${serial}

# The newer copy counts: the higher serial number, where 0 follows 255; the first when they are equal.
setenv newest 1
if test ${valid1} = 0 && test ${valid2} = 1; then setenv newest 2; fi
if test ${valid1} = 1 && test ${valid2} = 1; then
    if itest 0x${serial2} > 0x${serial1}; then setenv newest 2; fi
    if itest 0x${serial1} == 0xff && itest 0x${serial2} == 0; then setenv newest 2; fi
    if itest 0x${serial2} == 0xff && itest 0x${serial1} == 0; then setenv newest 1; fi
fi
if test ${newest} = 1; then
    setenv at ${copy1_at}; setenv older_at ${copy2_at}; setenv older_start ${state_second}
else
    setenv at ${copy2_at}; setenv older_at ${copy1_at}; setenv older_start ${state_start}
fi
run read_copy
if test ${valid} = 0; then
    echo "silverstream: no valid state of the slots, starting with the defaults"
    setenv BOOT_ORDER "A B"; setenv BOOT_A_LEFT 3; setenv BOOT_B_LEFT 3; setenv serial 0
fi

# Writes the state over the older copy, which so becomes the newer one.
setenv write_state 'setexpr serial ${serial} + 1; setexpr serial ${serial} "&" 0xff; setexpr to ${older_at} + 5; setexpr from ${plain_at} + 4;
setexpr serial_at ${older_at} + 4; env export -c -s 0xfff ${plain_at} BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT;
cp.b ${plain_at} ${older_at} 4; mw.b ${serial_at} ${serial}; cp.b ${from} ${to} 0xffb;
${devtype} write ${older_at} ${older_start} 8'

# Takes one try of the first slot in order that has one left.
setenv choose 'setenv slot;
for candidate in ${BOOT_ORDER}; do
    if test "${slot}" = "" && test "${candidate}" = "A" && itest 0x${BOOT_A_LEFT} > 0; then
        setenv slot A; setexpr BOOT_A_LEFT ${BOOT_A_LEFT} - 1; setenv kernel_part 6; setenv root_part 08;
        if itest 0x${BOOT_A_LEFT} == 0; then setenv BOOT_A_LEFT 00; fi;
    fi;
    if test "${slot}" = "" && test "${candidate}" = "B" && itest 0x${BOOT_B_LEFT} > 0; then
        setenv slot B; setexpr BOOT_B_LEFT ${BOOT_B_LEFT} - 1; setenv kernel_part 7; setenv root_part 09;
        if itest 0x${BOOT_B_LEFT} == 0; then setenv BOOT_B_LEFT 00; fi;
    fi;
done'

# The device tree comes with the kernel, for each board by name. What a board lacks there (QEMU) is what the firmware left.
# ${overlays} is what the person asked for in hardware.txt on the boot partition. One that cannot be applied spoils the tree:
# then it is loaded again and left as it is.
setenv read_tree 'load ${devtype} ${devnum}:${kernel_part} ${fdt_at} dtb/${fdtfile}'
setenv open_tree 'setenv tree ${fdt_at}; fdt addr ${tree}; fdt resize 0x10000'
setenv load_tree 'setenv tree ${fdtcontroladdr}; setenv spoilt;
if test -n "${fdtfile}" && run read_tree; then
    run open_tree;
    for overlay in ${overlays}; do
        if test -z "${spoilt}"; then
            if load ${devtype} ${devnum}:${kernel_part} ${overlay_at} overlays/${overlay}.dtbo; then
                if fdt apply ${overlay_at}; then true; else setenv spoilt ${overlay}; fi;
            else
                echo "silverstream: hardware.txt names the overlay ${overlay}, which does not exist";
            fi;
        fi;
    done;
    if test -n "${spoilt}"; then
        echo "silverstream: the overlay ${spoilt} of hardware.txt does not fit; starting without any";
        run read_tree; run open_tree;
    fi;
fi'

# Loads ${file} to ${at}. Fails if that is impossible or its CRC-32 is not ${sum}; without one it is not looked at. What crc32
# leaves in memory is in the processor's order of bytes or in the other one, as this U-Boot was built.
setenv load_sound 'load ${devtype} ${devnum}:${kernel_part} ${at} ${file} &&
    crc32 ${at} ${filesize} ${found_at} && run is_sound'
setenv is_sound 'if test -z "${sum}" || itest.l *${found_at} == 0x${sum} || itest.l *${found_at} == 0x${swapped}; then true;
else echo "silverstream: ${file} of slot ${slot} is damaged"; false; fi'
setenv load_kernel 'setenv at ${packed_at}; setenv file Image.gz; setenv sum ${kernel_sum}; setenv swapped ${kernel_swapped};
run load_sound'
setenv load_initrd 'setenv at ${initrd_at}; setenv file initrd.img; setenv sum ${initrd_sum}; setenv swapped ${initrd_swapped};
run load_sound'

# A kernel that cannot be loaded, is damaged (unzip does not look at gzip's checksum) or cannot be unpacked will hardly start the
# next time: its slot loses all its tries at once, so that the other one is chosen. It comes back when that one has none left,
# for a bad contact may have been all. Updates of before this have no sums.
setenv start 'setenv bootargs "root=PARTUUID=${disk_id}-${root_part} rauc.slot=${slot} ${kernel_args}";
setenv kernel_sum; setenv kernel_swapped; setenv initrd_sum; setenv initrd_swapped;
if load ${devtype} ${devnum}:${kernel_part} ${sums_at} sums; then
    env import -t ${sums_at} ${filesize} kernel_sum kernel_swapped initrd_sum initrd_swapped;
fi;
if run load_kernel && unzip ${packed_at} ${kernel_at} && run load_initrd; then
    setenv initrd_size ${filesize}; run load_tree;
    booti ${kernel_at} ${initrd_at}:${initrd_size} ${tree};
fi;
echo "silverstream: slot ${slot} does not start";
setenv BOOT_${slot}_LEFT 00'

setenv disk_id @DISK_ID@
setenv kernel_args "ro quiet panic=10 @KERNEL_ARGS@"
setenv overlays
if load ${devtype} ${devnum}:${distro_bootpart} ${overlay_at} hardware.txt; then
    # -r: lines may end as Windows ends them.
    env import -t -r ${overlay_at} ${filesize} overlays console arguments
fi
if test -n "${console}"; then setenv kernel_args "${kernel_args} console=${console} systemd.show_status=1"; fi
if test -n "${arguments}"; then setenv kernel_args "${kernel_args} ${arguments}"; fi

# A slot that works runs out of tries, too, where the power never stays until it is confirmed: what has used up its tries gets
# them back, and what must not be started does not.
setenv give_back 'echo "silverstream: no slot has a try left; trying again what may be started";
if test "${BOOT_A_LEFT}" = "00"; then setenv BOOT_A_LEFT 3; fi;
if test "${BOOT_B_LEFT}" = "00"; then setenv BOOT_B_LEFT 3; fi;
setenv given_back 1; run choose'
setenv given_back 0

for attempt in 1 2 3; do
    run choose
    if test "${slot}" = "" && test ${given_back} = 0; then run give_back; fi
    if test -n "${slot}"; then
        run write_state
        echo "silverstream: starting slot ${slot}"
        run start
    fi
done

# Neither slot loads: both get their tries back rather than leaving a dead box, also one that RAUC took out of the order when
# it was marked bad or began to be written.
setenv BOOT_A_LEFT 3
setenv BOOT_B_LEFT 3
if test "${BOOT_ORDER}" = "B"; then setenv BOOT_ORDER "B A"; fi
if test "${BOOT_ORDER}" = "A" || test "${BOOT_ORDER}" = ""; then setenv BOOT_ORDER "A B"; fi
run write_state
echo "silverstream: no slot starts; restarting in 10 seconds"
sleep 10
reset
