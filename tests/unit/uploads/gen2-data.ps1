Add-AzVhd -ResourceGroupName 'GROUP' -Location 'LOCATION' -DiskName 'web' -LocalFilePath 'web.vhd' -DiskOsType Linux -DiskHyperVGeneration V2
Add-AzVhd -ResourceGroupName 'GROUP' -Location 'LOCATION' -DiskName 'd0' -LocalFilePath 'd0.vhd'
Add-AzVhd -ResourceGroupName 'GROUP' -Location 'LOCATION' -DiskName 'd1' -LocalFilePath 'd1.vhd'
$osDisk = (Get-AzDisk -ResourceGroupName 'GROUP' -DiskName 'web').Id
$dataDisk1 = (Get-AzDisk -ResourceGroupName 'GROUP' -DiskName 'd0').Id
$dataDisk0 = (Get-AzDisk -ResourceGroupName 'GROUP' -DiskName 'd1').Id
New-AzGalleryImageDefinition -ResourceGroupName 'GROUP' -Location 'LOCATION' -GalleryName 'GALLERY' -Name 'web' -Publisher 'PUBLISHER' -Offer 'OFFER' -Sku 'SKU' -OsType Linux -OsState Generalized -HyperVGeneration V2 -Architecture 'x64' -Feature @(@{Name = 'SecurityType'; Value = 'None'}, @{Name = 'DiskControllerTypes'; Value = 'SCSI,NVMe'}, @{Name = 'IsAcceleratedNetworkSupported'; Value = 'True'})
New-AzGalleryImageVersion -ResourceGroupName 'GROUP' -Location 'LOCATION' -GalleryName 'GALLERY' -GalleryImageDefinitionName 'web' -Name '1.0.0' -OSDiskImage @{Source = @{Id = $osDisk}} -DataDiskImage @(@{Source = @{Id = $dataDisk1}; Lun = 1}, @{Source = @{Id = $dataDisk0}; Lun = 0}) -ReplicationMode Shallow
