"""The infrared-visible pairs of the original TNO archive: which two files of it are one pair."""

from collections.abc import Iterator
from typing import NamedTuple


class Original(NamedTuple):
    """A pair of the archive: its id, the sequence it is a frame of (empty: none), and its two files."""

    sample_id: str
    scene: str
    rgb: str
    thermal: str


def originals() -> Iterator[Original]:
    """Yield the pairs of the archive: 55 single ones, and 180 frames of six sequences."""
    for folder, (thermal, rgb) in _SINGLE.items():
        yield Original(_short(folder), "", f"{folder}/{rgb}", f"{folder}/{thermal}")
    for folder, thermal, rgb, frames in _SEQUENCES:
        scene = _short(folder)
        for frame in frames:
            names = (f"{folder}/{name.format(frame)}" for name in (rgb, thermal))
            yield Original(f"{scene}_{frame:04d}", scene, *names)


def _short(folder: str) -> str:
    """Return a folder as a part of an id: `Athena_images/APC_1/view_1` is `Athena_APC_1_view_1`."""
    return folder.replace("_images/", "_").replace("/", "_")


# Folder: infrared, visible. The names as a loader for torchvision lists them: stored text of GitHub, one source.
_SINGLE = {
    "tank": ("LWIR.tif", "Vis.tif"),
    "Athena_images/2_men_in_front_of_house": ("IR_meting003_g.bmp", "VIS_meting003_r.bmp"),
    "Athena_images/airplane_in_trees": ("ir.bmp", "vis.bmp"),
    "Athena_images/APC_1/view_1": ("IR_fk_06_005.bmp", "VIS_fk_06_005.bmp"),
    "Athena_images/APC_1/view_2": ("IR_fk_ref_01_005.bmp", "VIS_fk_ref_01_005.bmp"),
    "Athena_images/APC_1/view_3": ("IR_fk_ref_02_005.bmp", "VIS_fk_ref_02_005.bmp"),
    "Athena_images/APC_2/view_1": ("2_fk_ge_03_005.bmp", "1_fk_ge_03_005.bmp"),
    "Athena_images/APC_2/view_2": ("2_fk_ge_04_005.bmp", "1_fk_ge_04_005.bmp"),
    "Athena_images/APC_2/view_3": ("2_fk_ge_06_005.bmp", "1_fk_ge_06_005.bmp"),
    "Athena_images/APC_3/view_1": ("IR_fk_bar_06_005.bmp", "VIS_fk_bar_06_005.bmp"),
    "Athena_images/APC_3/view_2": ("IR_fk_NL_01_005.bmp", "VIS_fk_NL_01_005.bmp"),
    "Athena_images/APC_3/view_3": ("IR_fk_NL_05_005.bmp", "VIS_fk_NL_05_005.bmp"),
    "Athena_images/APC_4": ("IR_fennek01_005.bmp", "VIS_fennek01_005.bmp"),
    "Athena_images/bunker": ("IR_bunker_g.bmp", "bunker_r.bmp"),
    "Athena_images/heather": ("IR_hei_vis_g.bmp", "VIS_hei_vis_r.bmp"),
    "Athena_images/helicopter": ("IR_helib_011.bmp", "VIS_helib_011.bmp"),
    "Athena_images/lake": ("IR_lake_g.bmp", "VIS_lake_r.bmp"),
    "Athena_images/man_in_doorway": ("IR_maninhuis_g.bmp", "VIS_maninhuis_r.bmp"),
    "Athena_images/soldier_behind_smoke_1": ("IR_meting012-1200_g.bmp", "VIS_meting012-1200_r.bmp"),
    "Athena_images/soldier_behind_smoke_2": ("IR_meting012-1500_g.bmp", "VIS_meting012-1500_r.bmp"),
    "Athena_images/soldier_behind_smoke_3": ("IR_meting012-1700_g.bmp", "VIS_meting012-1700_r.bmp"),
    "Athena_images/soldier_in_trench_1": ("IR_meting016_g.bmp", "VIS_meting016_r.bmp"),
    "Athena_images/soldier_in_trench_2": ("IR_meting055_g.bmp", "VIS_meting055_r.bmp"),
    "Triclobs_images/barbed_wire_1": ("B_LWIR.tif", "R_Vis.tif"),
    "Triclobs_images/barbed_wire_2": ("c_LWIR-MarnehNew_24RGB_1110.tif", "a_VIS-MarnehNew_24RGB_1110.tif"),
    "Triclobs_images/Bosnia": ("LWIR_B.bmp", "VIS_R.bmp"),
    "Triclobs_images/Farm": ("Farm_IR.bmp", "Farm_Vis.bmp"),
    "Triclobs_images/houses_with_3_men": ("LWIR.bmp", "VIS.bmp"),
    "Triclobs_images/jeep_in_smoke": ("LWIR_B.bmp", "VIS_R.bmp"),
    "Triclobs_images/Kaptein_01": ("IR01.bmp", "Vis01.bmp"),
    "Triclobs_images/Kaptein_19": ("IR19.bmp", "Vis19.bmp"),
    "Triclobs_images/Kaptein_1123": ("Kaptein_1123_IR.bmp", "Kaptein_1123_Vis.bmp"),
    "Triclobs_images/Kaptein_1654": ("Kaptein_1654_IR.bmp", "Kaptein_1654_Vis.bmp"),
    "Triclobs_images/Marne_01": ("Marne_01_IR.bmp", "Marne_01_Vis.bmp"),
    "Triclobs_images/Marne_02": ("Marne_02_IR.bmp", "Marne_02_Vis.bmp"),
    "Triclobs_images/Marne_03": ("Marne_03_IR.bmp", "Marne_03_Vis.bmp"),
    "Triclobs_images/Marne_04": ("Marne_04_IR.bmp", "Marne_04_Vis.bmp"),
    "Triclobs_images/Marne_06": ("Marne_06_IR.bmp", "Marne_06_Vis.bmp"),
    "Triclobs_images/Marne_07": ("Marne_07_IR.bmp", "Marne_07_Vis.bmp"),
    "Triclobs_images/Marne_09": ("Marne_09_IR.bmp", "Marne_09_Vis.bmp"),
    "Triclobs_images/Marne_11": ("Marne_11_IR.bmp", "Marne_11_Vis.bmp"),
    "Triclobs_images/Marne_15": ("Marne_15_IR.bmp", "Marne_15_Vis.bmp"),
    "Triclobs_images/Marne_24": ("Marne_24_IR.bmp", "Marne_24_Vis.bmp"),
    "Triclobs_images/Movie_01": ("Movie_01_IR.bmp", "Movie_01_Vis.bmp"),
    "Triclobs_images/Movie_12": ("Movie_12_IR.bmp", "Movie_12_Vis.bmp"),
    "Triclobs_images/Movie_14": ("Movie_14_IR.bmp", "Movie_14_Vis.bmp"),
    "Triclobs_images/Movie_18": ("Movie_18_IR.bmp", "Movie_18_Vis.bmp"),
    "Triclobs_images/Movie_24": ("Movie_24_IR.bmp", "Movie_24_Vis.bmp"),
    "Triclobs_images/Reek": ("Reek_IR.bmp", "Reek_Vis.bmp"),
    "Triclobs_images/soldier_behind_smoke": ("LWIR-MarnehNew_15RGB_603.tif", "VIS-MarnehNew_15RGB_603.tif"),
    "Triclobs_images/soldiers_with_jeep": ("Jeep_IR.bmp", "Jeep_Vis.bmp"),
    "Triclobs_images/square_with_houses": ("LWIR.bmp", "VIS.bmp"),
    "DHV_images/bench": ("IR_37rad.bmp", "VIS_37dhvR.bmp"),
    "DHV_images/sandpath": ("IR_18rad.bmp", "VIS_18dhvR.bmp"),
    "DHV_images/wall": ("IR_163rad.bmp", "VIS_163dhvR.BMP"),
}
# Folder, infrared, visible, frame numbers.
_SEQUENCES = (
    ("DHV_images/Fire_sequence/part_1", "thermal/RAD{}.bmp", "dhv/DHV{}.bmp", range(2, 30)),
    ("DHV_images/Fire_sequence/part_2", "rad/RADheli{}.bmp", "dhv/DHVheli{}.bmp", range(17)),
    ("DHV_images/Fire_sequence/part_3", "rad/RADheli{}.bmp", "dhv/DHVheli{}.bmp", range(20, 81)),
    ("FEL_images/Duine_sequence", "thermal/{}i.bmp", "visual/{}v.bmp", range(7400, 7423)),
    ("FEL_images/Nato_camp_sequence", "thermal/{}i.bmp", "visual/{}v.bmp", range(1800, 1832)),
    ("FEL_images/Tree_sequence", "thermal/{}i.bmp", "visual/{}v.bmp", range(4900, 4919)),
)
