# Packages the RTL kernel for Vitis: makes <kernel>.xo. For Vivado, in batch mode:
#   vivado -mode batch -source hw/pack/package_kernel.tcl -tclargs LANES FILES_LIST OUT_DIR ?BUILD_ID? ?TEST_MODE?
# LANES: of the card; FILES_LIST: text file with the RTL, one path a line, packages first (build/<preset>/hw/pack/files.txt);
# BUILD_ID: first 32 bits of the source revision, e.g. 0x1234abcd; TEST_MODE: 1 for a card that takes IVs from the host.
# Then:  v++ --link --config hw/pack/u50.cfg -o esp_card.xclbin OUT_DIR/<kernel>.xo
if {[llength $argv] < 3} { error "usage: LANES FILES_LIST OUT_DIR ?BUILD_ID? ?TEST_MODE?" }
lassign $argv lanes files_list out_dir build_id test_mode
if {$build_id eq ""} { set build_id 0 }
if {$test_mode eq ""} { set test_mode 0 }
set here [file dirname [file normalize [info script]]]
set kernel [expr {$lanes == 1 ? "esp_card" : "esp_card_x$lanes"}]
set out_dir [file normalize $out_dir]
file mkdir $out_dir
set ip_dir $out_dir/ip_$kernel

# The top and the kernel's description come from the tree's generators, so that they cannot differ from the RTL.
set top $out_dir/$kernel.sv
exec python3 $here/gen_top.py --lanes $lanes --name $kernel --output $top
exec python3 $here/pack.py --kernel-xml $out_dir/kernel.xml --lanes $lanes

create_project -force pack_$kernel $out_dir/project_$kernel -part xcu50-fsvh2104-2-e
set handle [open $files_list]
foreach line [split [read $handle] "\n"] {
  set line [string trim $line]
  # The committed top of the same name would be a second definition.
  if {$line ne "" && [file rootname [file tail $line]] ni [list $kernel esp_card esp_card_x4]} {
    add_files -norecurse $line
  }
}
close $handle
add_files -norecurse $top
set_property top $kernel [current_fileset]
# Keys travel along the cipher pipeline: smaller than subkeys by slot, which are there for the simulation's speed.
set_property generic [list KeyCarry=1 BuildId=$build_id AllowTestMode=$test_mode] [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir $ip_dir -vendor esplanade -library kernel -taxonomy /KernelIP -import_files -set_current true
set core [ipx::current_core]
set_property name $kernel $core
set_property version 1.0 $core
set_property core_revision 1 $core
foreach {name value} [list KeyCarry 1 BuildId $build_id AllowTestMode $test_mode] {
  set parameter [ipx::get_user_parameters $name -of_objects $core]
  if {$parameter ne ""} { set_property value $value $parameter }
  set parameter [ipx::get_hdl_parameters $name -of_objects $core]
  if {$parameter ne ""} { set_property value $value $parameter }
}

# Clock: every bus belongs to ap_clk; the reset to the clock.
set busses [list s_axi_control]
for {set lane 0} {$lane < $lanes} {incr lane} { lappend busses [expr {$lane == 0 ? "m_axi_gmem" : "m_axi_gmem$lane"}] }
foreach bus $busses { ipx::associate_bus_interfaces -busif $bus -clock ap_clk $core }
ipx::infer_bus_interface ap_rst_n xilinx.com:signal:reset_rtl:1.0 $core
ipx::infer_bus_interface interrupt xilinx.com:signal:interrupt_rtl:1.0 $core
# No narrow bursts, incrementing ones only: lets the interconnect leave out converters.
foreach bus [lrange $busses 1 end] {
  set interface [ipx::get_bus_interfaces $bus -of_objects $core]
  foreach {name value} {HAS_BURST 0 SUPPORTS_NARROW_BURST 0 NUM_READ_OUTSTANDING 32 NUM_WRITE_OUTSTANDING 32 MAX_BURST_LENGTH 64} {
    set parameter [ipx::add_bus_parameter $name $interface]
    set_property value $value $parameter
  }
}

set_property sdx_kernel true $core
set_property sdx_kernel_type rtl $core
set_property vitis_drc {ctrl_protocol user_managed} $core
set_property ipi_drc {ignore_freq_hz true} $core
set_property supported_families {} $core
set_property auto_family_support_level level_2 $core
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity -kernel -xrt $core
ipx::save_core $core
close_project -delete

package_xo -force -xo_path $out_dir/$kernel.xo -kernel_name $kernel -ip_directory $ip_dir -kernel_xml $out_dir/kernel.xml -ctrl_protocol user_managed
